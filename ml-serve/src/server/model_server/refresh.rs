use super::{
    ModelServer,
    slot::{Loaded, Slot},
};
use futures_util::future::{Either, select};
use ml_core::{
    Result,
    id::{ModelName, ModelRef, Version},
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// What became of one reference when the source was asked again.
#[non_exhaustive]
#[derive(Debug)]
pub struct Refreshed {
    /// The reference.
    pub at: ModelRef,
    /// The version before and now; or why it could not be asked or loaded, in which case the one before serves on.
    pub outcome: Result<Change>,
}

/// The version that served before and the one that serves now.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The version before; none at the first load.
    pub from: Option<Version>,
    /// The version now.
    pub to: Version,
}

impl Change {
    /// Whether another version serves now.
    #[must_use]
    pub fn is_swap(&self) -> bool {
        self.from != Some(self.to)
    }
}

impl ModelServer {
    /// Loads every model, so that the server is ready.
    ///
    /// # Errors
    /// The first error of a model, which names the reference; the others are loaded nevertheless and answer.
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the source lacks it, [`Corrupt`](ml_core::ErrorKind::Corrupt) when it
    /// is damaged or does not give its golden outputs, [`Unsupported`](ml_core::ErrorKind::Unsupported) when no runtime runs it.
    pub async fn load(&self) -> Result<()> {
        self.refresh().await.into_iter().try_for_each(|refreshed| refreshed.outcome.map(|_| ()))
    }

    /// Asks the source what every reference means now, and swaps those whose version moved.
    ///
    /// A version that cannot be loaded changes nothing: the one before serves on.
    ///
    /// # Cancel safety
    /// Dropping the future leaves every model at the version before or the one after; the next call goes on from there.
    pub async fn refresh(&self) -> Vec<Refreshed> {
        self.refresh_all_but(&mut self.nothing_held()).await
    }

    /// Calls [`refresh`](ModelServer::refresh) at once and then every so often, until `end` does. The host spawns it;
    /// failures go to the log.
    ///
    /// `every` is at least a millisecond. A refresh that takes longer delays the next. A version that fails for good, such
    /// as a damaged one, is not fetched again at each round but after 1, 2, 4, 8 and then 16 more, until its alias moves;
    /// what may pass, such as a source that is down, is tried again at each.
    ///
    /// ```
    /// use ml_serve::ModelServer;
    /// use std::{sync::Arc, time::Duration};
    ///
    /// fn keep_up(server: &Arc<ModelServer>, shutdown: tokio::sync::oneshot::Receiver<()>) -> tokio::task::JoinHandle<()> {
    ///     let end = async { shutdown.await.unwrap_or(()) };
    ///     tokio::spawn(Arc::clone(server).watch(Duration::from_secs(30), end))
    /// }
    /// ```
    pub async fn watch(self: Arc<Self>, every: Duration, end: impl Future<Output = ()> + Send) {
        let refreshing = async {
            let mut held = self.nothing_held();
            let mut ticks = interval(every.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                for refreshed in self.refresh_all_but(&mut held).await {
                    if let Err(error) = refreshed.outcome {
                        tracing::warn!(model = %refreshed.at, ?error, "refresh failed, the version before serves on");
                    }
                }
            }
        };
        match select(pin!(end), pin!(refreshing)).await {
            Either::Left(((), _)) => {}
            Either::Right((never, _)) => never,
        }
    }

    async fn refresh_all_but(&self, held: &mut [Held]) -> Vec<Refreshed> {
        let _one_at_a_time = self.loading.lock().await;
        let mut all = Vec::with_capacity(self.slots.len());
        for (slot, held) in self.slots.iter().zip(held) {
            let outcome = match self.source.resolve(&slot.at).await {
                Ok(to) if held.is_due(to) => {
                    let outcome = self.bring(slot, to).await;
                    held.note(to, &outcome);
                    outcome
                }
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            let outcome = outcome.map_err(|error| error.op("serve.load").with("reference", &slot.at));
            all.push(Refreshed { at: slot.at.clone(), outcome });
        }
        all
    }

    fn nothing_held(&self) -> Vec<Held> {
        self.slots.iter().map(|_| Held::default()).collect()
    }

    async fn bring(&self, slot: &Slot, to: Version) -> Result<Change> {
        let from = slot.current().map(|loaded| loaded.version);
        let change = Change { from, to };
        if change.is_swap() {
            let loaded = match self.loaded(&slot.at.name, to) {
                Some(loaded) => loaded,
                None => Arc::new(self.fetch(&slot.at.name, to).await?),
            };
            slot.swap(loaded);
            tracing::info!(model = %slot.at, ?from, %to, "model loaded");
        }
        Ok(change)
    }

    /// A version that serves another reference already.
    fn loaded(&self, name: &ModelName, version: Version) -> Option<Arc<Loaded>> {
        self.slots
            .iter()
            .filter(|slot| slot.at.name == *name)
            .filter_map(Slot::current)
            .find(|loaded| loaded.version == version)
    }

    async fn fetch(&self, name: &ModelName, version: Version) -> Result<Loaded> {
        let bundle = self.source.fetch(name, version).await?;
        let (runtimes, options) = (Arc::clone(&self.runtimes), self.load_options.clone());
        let loaded = self.compute.run(move || bundle.load(&runtimes, &options)).await??;
        Ok(Loaded::new(name.clone(), version, loaded))
    }
}

/// A version that failed for good, and the rounds for which it is left alone.
#[derive(Debug, Default)]
struct Held {
    version: Option<Version>,
    wait: u32,
    left: u32,
}

impl Held {
    fn is_due(&mut self, version: Version) -> bool {
        if self.version == Some(version) && self.left > 0 {
            self.left -= 1;
            return false;
        }
        true
    }

    fn note(&mut self, version: Version, outcome: &Result<Change>) {
        *self = match outcome {
            Err(error) if !error.is_retryable() => {
                let wait = if self.version == Some(version) { (2 * self.wait).min(MAX_WAIT) } else { 1 };
                Self { version: Some(version), wait, left: wait }
            }
            _ => Self::default(),
        };
    }
}

const MAX_WAIT: u32 = 16;
