//! Experiments: runs with their parameters, metrics and tags.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use crate::{MetricPoint, NewRun, Point, RunOutcome, RunRecord};
use async_trait::async_trait;
use ml_core::{
    BoxStream, Error, Result,
    id::{ExperimentName, RunId},
};
use std::{fmt, sync::Arc};

/// Runs of experiments.
///
/// Every call can be made again after a lost answer: an id starts one run, and a point that carries its time counts once.
///
/// # Contract
/// 1. A run comes back as it was started and logged, its latest metric that of the last step.
///    (check: `a_run_comes_back_as_logged`)
/// 2. Starting a run again changes nothing; another run under its id conflicts. (check: `an_id_starts_one_run`)
/// 3. The history of a metric comes in order of step, then time, then value, however it was logged, whatever its length.
///    (check: `metric_history_comes_in_order`)
/// 4. NaN, the infinities and −0 are kept as they are. (check: `every_number_is_kept`)
/// 5. The same point logged again counts once. (check: `the_same_point_counts_once`)
/// 6. A parameter keeps its first value: another one conflicts, and none of that call is kept.
///    (check: `a_parameter_has_one_value`)
/// 7. The last value of a tag counts. (check: `the_last_tag_counts`)
/// 8. A run ends once; a second end, and logging after the end, conflict. (check: `an_ended_run_stays_as_it_is`)
/// 9. An unknown run is not found. (check: `an_unknown_run_is_not_found`)
/// 10. Runs come in order of start, experiments by name; an unknown experiment has no runs. (check: `listings_come_in_order`)
/// 11. Calls side by side lose nothing. (check: `concurrent_logs_lose_nothing`)
/// 12. Points beyond [`limit`](crate::limit) are refused, and none of that call is kept. (check: `points_beyond_the_limits_are_refused`)
///
/// ```
/// use ml_registry::{ExperimentTracker, MemoryTracker, NewRun, Point, RunOutcome};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let tracker = MemoryTracker::default();
/// let run = tracker.start(NewRun::new("late-arrival".parse()?, "ada")).await?;
/// tracker.log(&run, &[Point::param("l2", 0.1), Point::metric("loss", 0, 0.7), Point::metric("loss", 1, 0.4)]).await?;
/// tracker.finish(&run, RunOutcome::Finished).await?;
///
/// let record = tracker.run(&run).await?;
/// assert_eq!(record.params["l2"], "0.1");
/// assert_eq!(record.metrics["loss"].value, 0.4);
/// # Ok(()) }
/// ```
#[async_trait]
pub trait ExperimentTracker: fmt::Debug + Send + Sync + 'static {
    /// Starts a run.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) for text beyond the limits,
    /// [`Conflict`](ml_core::ErrorKind::Conflict) when another run has the id.
    async fn start(&self, run: NewRun) -> Result<RunId>;

    /// Logs points: all of them or, after an error, none.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown run, [`Conflict`](ml_core::ErrorKind::Conflict) for one that
    /// has ended or a parameter that has another value, [`InvalidInput`](ml_core::ErrorKind::InvalidInput) for points beyond the limits.
    async fn log(&self, run: &RunId, points: &[Point]) -> Result<()>;

    /// Ends a run.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown run, [`Conflict`](ml_core::ErrorKind::Conflict) for one that has ended.
    async fn finish(&self, run: &RunId, outcome: RunOutcome) -> Result<()>;

    /// Finds a run.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound).
    async fn run(&self, run: &RunId) -> Result<RunRecord>;

    /// Lists every point of a metric; none for a metric never logged, one [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown run.
    fn metric_history<'a>(&'a self, run: &'a RunId, key: &'a str) -> BoxStream<'a, Result<MetricPoint>>;

    /// Lists the experiments, by name. An experiment exists from its first run on.
    fn experiments(&self) -> BoxStream<'_, Result<ExperimentName>>;

    /// Lists the runs of an experiment in order of start.
    fn runs<'a>(&'a self, experiment: &'a ExperimentName) -> BoxStream<'a, Result<RunRecord>>;
}

#[async_trait]
impl<T: ExperimentTracker + ?Sized> ExperimentTracker for Arc<T> {
    async fn start(&self, run: NewRun) -> Result<RunId> {
        (**self).start(run).await
    }

    async fn log(&self, run: &RunId, points: &[Point]) -> Result<()> {
        (**self).log(run, points).await
    }

    async fn finish(&self, run: &RunId, outcome: RunOutcome) -> Result<()> {
        (**self).finish(run, outcome).await
    }

    async fn run(&self, run: &RunId) -> Result<RunRecord> {
        (**self).run(run).await
    }

    fn metric_history<'a>(&'a self, run: &'a RunId, key: &'a str) -> BoxStream<'a, Result<MetricPoint>> {
        (**self).metric_history(run, key)
    }

    fn experiments(&self) -> BoxStream<'_, Result<ExperimentName>> {
        (**self).experiments()
    }

    fn runs<'a>(&'a self, experiment: &'a ExperimentName) -> BoxStream<'a, Result<RunRecord>> {
        (**self).runs(experiment)
    }
}

pub(crate) fn unknown_run(run: &RunId) -> Error {
    Error::not_found("no such run").with("run", run)
}

pub(crate) fn ended_run(run: &RunId, outcome: RunOutcome) -> Error {
    Error::conflict("the run has ended").with("run", run).with("outcome", outcome.as_str())
}

pub(crate) fn another_value(run: &RunId, key: &str) -> Error {
    Error::conflict("the parameter has another value").with("run", run).with("parameter", key)
}

/// The answer to an id seen before: the same run is a retry, another one a conflict.
pub(crate) fn started_before(run: &NewRun, before: &RunRecord) -> Result<RunId> {
    if (&run.experiment, &run.title, &run.by) == (&before.experiment, &before.title, &before.by) {
        Ok(run.id)
    } else {
        Err(Error::conflict("another run has this id").with("run", run.id).with("experiment", &before.experiment))
    }
}
