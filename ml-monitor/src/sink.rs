//! The sink: hears of every prediction and keeps it for later, without slowing the request path.

use crate::window::{Buffer, Dropped, Layout, Window, WindowParams, rows};
use ml_core::{
    Error, Result, Tensors,
    id::{ModelName, Version},
    port::{PredictionSink, RequestMeta},
    time::{Clock, CreatedTime, SystemClock},
};
use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError, RwLock, TryLockError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Records predictions into one bounded window for each model and version.
///
/// [`record`](PredictionSink::record) packs the tensors into the columns of a shard. A shard is locked for as long as that
/// takes; a thread that finds one taken goes on to the next, and never waits. [`take`](WindowSink::take) swaps each shard
/// for an empty one and unpacks them afterwards, outside of all locks. Only the first prediction of a version makes others
/// wait, for as long as it takes to add a window to the list.
///
/// What is kept: the first prediction of a version says which tensors there are. A window that is full keeps the oldest
/// rows. A request is kept whole or dropped whole, and every row dropped is counted.
///
/// ```
/// use ml_core::{Tensor, Tensors, id::{ModelName, Version}, port::{PredictionSink, RequestMeta}, time::CreatedTime};
/// use ml_monitor::{WindowParams, WindowSink};
///
/// let sink = WindowSink::new(WindowParams { max_rows: 3, ..WindowParams::default() })?;
/// let meta = RequestMeta::new("1", ModelName::new("late")?, Version::FIRST, CreatedTime::from_micros(0));
/// let inputs = Tensors::new().with("wind", Tensor::column(vec![3.0_f32, 9.0]))?;
/// let outputs = Tensors::new().with("late", Tensor::vector(vec![0_i64, 1]))?;
/// sink.record(&meta, &inputs, &outputs);
/// sink.record(&meta, &inputs, &outputs);
///
/// let window = sink.take(&meta.model, meta.version).unwrap();
/// assert_eq!((window.sample.rows(), window.dropped.full), (2, 2));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug)]
pub struct WindowSink {
    params: WindowParams,
    clock: Arc<dyn Clock>,
    slots: RwLock<Vec<Arc<Slot>>>,
    untracked: AtomicU64,
}

/// The window of one version while it is open.
#[derive(Debug)]
struct Slot {
    model: ModelName,
    version: Version,
    layout: Layout,
    max_rows: usize,
    rows: AtomicUsize,
    opened: AtomicI64,
    full: AtomicU64,
    busy: AtomicU64,
    unfit: AtomicU64,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Shard {
    rows: usize,
    buffers: Vec<Buffer>,
}

impl WindowSink {
    /// Makes a sink without windows, on the clock of the machine.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a parameter is out of range.
    pub fn new(params: WindowParams) -> Result<Self> {
        Self::with_clock(params, SystemClock)
    }

    /// Makes a sink without windows, on another clock.
    ///
    /// # Errors
    /// As [`WindowSink::new`].
    pub fn with_clock(params: WindowParams, clock: impl Clock) -> Result<Self> {
        for (name, value, high) in [
            ("max_rows", params.max_rows, u32::MAX as usize),
            ("max_bytes", params.max_bytes, u32::MAX as usize),
            ("max_windows", params.max_windows, usize::MAX),
            ("max_width", params.max_width, usize::MAX),
            ("due_rows", params.due_rows.unwrap_or(1), params.max_rows),
            ("shards", params.shards, 1_024),
        ] {
            if !(1..=high).contains(&value) {
                return Err(Error::invalid_input("a parameter is out of range")
                    .with("parameter", name)
                    .with("value", value)
                    .with("low", 1)
                    .with("high", high));
            }
        }
        Ok(Self { params, clock: Arc::new(clock), slots: RwLock::default(), untracked: AtomicU64::new(0) })
    }

    /// Takes what was recorded and starts the next window; `None` when nothing ever was.
    ///
    /// Windows of one version follow each other without a gap: a row is in exactly one.
    #[must_use]
    pub fn take(&self, model: &ModelName, version: Version) -> Option<Window> {
        Some(self.slot(model, version)?.take(self.clock.now()))
    }

    /// Takes the window if it is due by rows or by age, as the parameters have it.
    #[must_use]
    pub fn take_due(&self, model: &ModelName, version: Version) -> Option<Window> {
        let slot = self.slot(model, version)?;
        let now = self.clock.now();
        let has_rows = self.params.due_rows.is_some_and(|rows| slot.rows.load(Ordering::Relaxed) >= rows);
        let is_old = |after: Duration| {
            CreatedTime::from_micros(slot.opened.load(Ordering::Relaxed)).saturating_add(after) <= now
        };
        (has_rows || self.params.due_after.is_some_and(is_old)).then(|| slot.take(now))
    }

    /// Ends the window of a version that no longer serves, and makes room for another.
    pub fn close(&self, model: &ModelName, version: Version) -> Option<Window> {
        let slot = {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            let at = slots.iter().position(|slot| slot.is_of(model, version))?;
            slots.remove(at)
        };
        Some(slot.take(self.clock.now()))
    }

    /// The versions with a window, in the order in which they were first heard of.
    #[must_use]
    pub fn tracked(&self) -> Vec<(ModelName, Version)> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|slot| (slot.model.clone(), slot.version)).collect()
    }

    /// Rows dropped since the start because there were too many versions to give each a window.
    #[must_use]
    pub fn untracked(&self) -> u64 {
        self.untracked.load(Ordering::Relaxed)
    }

    fn slot(&self, model: &ModelName, version: Version) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.iter().find(|slot| slot.is_of(model, version)).cloned()
    }

    /// Opens a window for a version that is heard of for the first time.
    fn open(&self, meta: &RequestMeta, inputs: &Tensors, outputs: &Tensors) -> Option<Arc<Slot>> {
        let layout = Layout::of(inputs, outputs, self.params.max_width)?;
        let max_rows = self.params.max_rows.min(self.params.max_bytes / layout.row_bytes().max(1));
        let shard = || Mutex::new(Shard { rows: 0, buffers: layout.buffers() });
        let shards = (0..self.params.shards).map(|_| shard()).collect();
        let slot = Arc::new(Slot {
            model: meta.model.clone(),
            version: meta.version,
            layout,
            max_rows,
            rows: AtomicUsize::new(0),
            opened: AtomicI64::new(self.clock.now().as_micros()),
            full: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            unfit: AtomicU64::new(0),
            shards,
        });
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = slots.iter().find(|slot| slot.is_of(&meta.model, meta.version)) {
            return Some(first.clone());
        }
        (slots.len() < self.params.max_windows).then(|| {
            slots.push(slot.clone());
            slot
        })
    }
}

impl PredictionSink for WindowSink {
    fn record(&self, meta: &RequestMeta, inputs: &Tensors, outputs: &Tensors) {
        let rows = rows(inputs, outputs);
        if rows == 0 {
            return;
        }
        match self.slot(&meta.model, meta.version).or_else(|| self.open(meta, inputs, outputs)) {
            Some(slot) => slot.record(inputs, outputs, rows),
            None => count(&self.untracked, rows),
        }
    }
}

impl Slot {
    fn is_of(&self, model: &ModelName, version: Version) -> bool {
        self.version == version && self.model == *model
    }

    fn record(&self, inputs: &Tensors, outputs: &Tensors, rows: usize) {
        if !self.layout.fits(inputs, outputs, rows) {
            return count(&self.unfit, rows);
        }
        // Room is claimed before the rows are written, so that the bound holds at every moment.
        let claim = |taken: usize| taken.checked_add(rows).filter(|&taken| taken <= self.max_rows);
        if self.rows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_err() {
            return count(&self.full, rows);
        }
        let home = home();
        for step in 0..self.shards.len() {
            let mut shard = match self.shards[(home + step) % self.shards.len()].try_lock() {
                Ok(shard) => shard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            self.layout.append(&mut shard.buffers, inputs, outputs);
            shard.rows += rows;
            return;
        }
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        count(&self.busy, rows);
    }

    fn take(&self, now: CreatedTime) -> Window {
        let shards: Vec<Vec<Buffer>> = self
            .shards
            .iter()
            .map(|shard| {
                let empty = Shard { rows: 0, buffers: self.layout.buffers() };
                let taken = std::mem::replace(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner), empty);
                self.rows.fetch_sub(taken.rows, Ordering::Relaxed);
                taken.buffers
            })
            .collect();
        let opened = CreatedTime::from_micros(self.opened.swap(now.as_micros(), Ordering::Relaxed));
        let dropped = Dropped {
            full: self.full.swap(0, Ordering::Relaxed),
            busy: self.busy.swap(0, Ordering::Relaxed),
            unfit: self.unfit.swap(0, Ordering::Relaxed),
        };
        let sample = self.layout.sample(shards).expect("columns are appended together, under names that differ");
        Window { model: self.model.clone(), version: self.version, opened, closed: now, sample, dropped }
    }
}

fn count(counter: &AtomicU64, rows: usize) {
    counter.fetch_add(rows as u64, Ordering::Relaxed);
}

/// The shard where a thread starts to look: threads are dealt out in turn, so that few of them meet.
fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static HOME: Cell<Option<usize>> = const { Cell::new(None) };
    }
    HOME.with(|home| {
        home.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            home.set(Some(next));
            next
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_core::Tensor;

    #[test]
    fn a_thread_goes_past_taken_shards_and_never_waits() {
        let sink = WindowSink::new(WindowParams { shards: 2, ..WindowParams::default() }).expect("in range");
        let model = ModelName::new("m").expect("a name");
        let meta = RequestMeta::new("r", model.clone(), Version::FIRST, CreatedTime::from_micros(0));
        let inputs = Tensors::new().with("x", Tensor::vector(vec![1.0_f32])).expect("one name");
        let record = || sink.record(&meta, &inputs, &Tensors::new());
        record();

        let slot = sink.slot(&model, Version::FIRST).expect("recorded");
        let first = slot.shards[0].lock().expect("not poisoned");
        record();
        let second = slot.shards[1].lock().expect("not poisoned");
        record();
        drop((first, second));

        let window = sink.take(&model, Version::FIRST).expect("recorded");
        assert_eq!((window.sample.rows(), window.dropped.busy), (2, 1));
        assert_eq!(slot.rows.load(Ordering::Relaxed), 0, "the room that was claimed is free again");
    }
}
