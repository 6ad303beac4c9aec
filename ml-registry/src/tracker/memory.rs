//! A tracker in the memory of one process: for tests, and for hosts that keep nothing.

use super::{another_value, ended_run, started_before, unknown_run};
use crate::{ExperimentTracker, MetricPoint, NewRun, Point, RunOutcome, RunRecord, run::RunEnd};
use async_trait::async_trait;
use futures_util::stream;
use ml_core::{
    BoxStream, Result,
    id::{ExperimentName, RunId},
    time::{Clock, EventTime, SystemClock},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A tracker in memory. Clones share it.
///
/// ```
/// use ml_registry::{ExperimentTracker, MemoryTracker, NewRun};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let tracker = MemoryTracker::default();
/// let run = tracker.start(NewRun::new("late-arrival".parse()?, "ada")).await?;
/// assert!(tracker.run(&run).await?.ended.is_none());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryTracker {
    runs: Arc<Mutex<HashMap<RunId, Run>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Run {
    record: RunRecord,
    metrics: BTreeMap<String, BTreeSet<MetricPoint>>,
}

impl Default for MemoryTracker {
    fn default() -> Self {
        Self::new(SystemClock)
    }
}

impl MemoryTracker {
    /// An empty tracker that takes its times from `clock`.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self { runs: Arc::default(), clock: Arc::new(clock) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run, provided that it goes on.
fn open<'a>(runs: &'a mut HashMap<RunId, Run>, id: &RunId) -> Result<&'a mut Run> {
    let run = runs.get_mut(id).ok_or_else(|| unknown_run(id))?;
    match run.record.ended {
        Some(end) => Err(ended_run(id, end.outcome)),
        None => Ok(run),
    }
}

#[async_trait]
impl ExperimentTracker for MemoryTracker {
    async fn start(&self, run: NewRun) -> Result<RunId> {
        run.check()?;
        let mut runs = self.lock();
        if let Some(before) = runs.get(&run.id) {
            return started_before(&run, &before.record);
        }
        let id = run.id;
        runs.insert(id, Run { record: RunRecord::new(self.clock.now(), run), metrics: BTreeMap::new() });
        Ok(id)
    }

    async fn log(&self, id: &RunId, points: &[Point]) -> Result<()> {
        Point::check_all(points)?;
        let now = EventTime::from(self.clock.now());
        let mut runs = self.lock();
        let run = open(&mut runs, id)?;

        // Parameters first: they alone can refuse the call.
        let mut params = run.record.params.clone();
        for point in points {
            if let Point::Param { key, value } = point
                && params.entry(key.clone()).or_insert_with(|| value.clone()) != value
            {
                return Err(another_value(id, key));
            }
        }
        run.record.params = params;
        for point in points {
            match point {
                Point::Metric { key, value, step, at } => {
                    let point = MetricPoint { step: *step, at: at.unwrap_or(now), value: *value };
                    run.metrics.entry(key.clone()).or_default().insert(point);
                    let latest = run.record.metrics.entry(key.clone()).or_insert(point);
                    *latest = point.max(*latest);
                }
                Point::Tag { key, value } => {
                    run.record.tags.insert(key.clone(), value.clone());
                }
                Point::Param { .. } => {}
            }
        }
        Ok(())
    }

    async fn finish(&self, id: &RunId, outcome: RunOutcome) -> Result<()> {
        let at = self.clock.now();
        open(&mut self.lock(), id)?.record.ended = Some(RunEnd { outcome, at });
        Ok(())
    }

    async fn run(&self, id: &RunId) -> Result<RunRecord> {
        self.lock().get(id).map(|run| run.record.clone()).ok_or_else(|| unknown_run(id))
    }

    fn metric_history<'a>(&'a self, id: &'a RunId, key: &'a str) -> BoxStream<'a, Result<MetricPoint>> {
        let rows: Vec<_> = match self.lock().get(id) {
            Some(run) => run.metrics.get(key).into_iter().flatten().copied().map(Ok).collect(),
            None => vec![Err(unknown_run(id))],
        };
        Box::pin(stream::iter(rows))
    }

    fn experiments(&self) -> BoxStream<'_, Result<ExperimentName>> {
        let names: BTreeSet<_> = self.lock().values().map(|run| run.record.experiment.clone()).collect();
        Box::pin(stream::iter(names.into_iter().map(Ok)))
    }

    fn runs<'a>(&'a self, experiment: &'a ExperimentName) -> BoxStream<'a, Result<RunRecord>> {
        let mut rows: Vec<_> =
            self.lock().values().map(|run| &run.record).filter(|run| run.experiment == *experiment).cloned().collect();
        rows.sort_by_key(|run| (run.started, run.id));
        Box::pin(stream::iter(rows.into_iter().map(Ok)))
    }
}
