//! Runs of an experiment: what was tried, with what parameters, and what was measured.

use crate::limit;
use ml_core::{
    Error, Result,
    id::{ExperimentName, RunId},
    time::{CreatedTime, EventTime},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, collections::BTreeMap};

/// What is to become a run.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Made by [`NewRun::new`], so that a start whose answer was lost can be made again.
    pub id: RunId,
    /// The experiment it belongs to.
    pub experiment: ExperimentName,
    /// A title for readers; need not be unique, may be empty.
    pub title: String,
    /// Who runs it: a person or a service.
    pub by: String,
    /// Free facts.
    pub tags: BTreeMap<String, String>,
}

impl NewRun {
    /// A run of an experiment, made by `by`, with a fresh id.
    #[must_use]
    pub fn new(experiment: ExperimentName, by: impl Into<String>) -> Self {
        Self { id: RunId::generate(), experiment, title: String::new(), by: by.into(), tags: BTreeMap::new() }
    }

    /// The same with another title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The same with one more tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Checks the texts against [`limit`]. Backends call it before they write.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput), naming the text.
    pub fn check(&self) -> Result<()> {
        limit::check_label("actor", &self.by)?;
        if !self.title.is_empty() {
            limit::check_label("title", &self.title)?;
        }
        limit::check_tags(&self.tags)
    }
}

/// One thing to log about a run.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum Point {
    /// A number measured after a step. All numbers are kept, NaN and the infinities too.
    Metric {
        /// What was measured.
        key: String,
        /// The number.
        value: f64,
        /// After which step, at most 2⁶³ − 1.
        step: u64,
        /// When; the time of logging where it is `None`.
        at: Option<EventTime>,
    },
    /// A parameter; has one value in the life of a run.
    Param {
        /// The name of the parameter.
        key: String,
        /// Its value, as text.
        value: String,
    },
    /// A tag; the last value counts.
    Tag {
        /// The name of the tag.
        key: String,
        /// Its value.
        value: String,
    },
}

impl Point {
    /// A number measured after a step, at the time of logging.
    #[must_use]
    pub fn metric(key: impl Into<String>, step: u64, value: f64) -> Self {
        Self::Metric { key: key.into(), value, step, at: None }
    }

    /// A number measured after a step at a known time: such a point can be logged again after a lost answer.
    #[must_use]
    pub fn metric_at(key: impl Into<String>, step: u64, value: f64, at: EventTime) -> Self {
        Self::Metric { key: key.into(), value, step, at: Some(at) }
    }

    /// A parameter.
    #[must_use]
    pub fn param(key: impl Into<String>, value: impl ToString) -> Self {
        Self::Param { key: key.into(), value: value.to_string() }
    }

    /// A tag.
    #[must_use]
    pub fn tag(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Tag { key: key.into(), value: value.into() }
    }

    /// Checks the points of one call against [`limit`]. Backends call it before they write.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput), naming the point.
    pub fn check_all(points: &[Self]) -> Result<()> {
        if points.len() > limit::MAX_POINTS {
            return Err(Error::invalid_input(format!("more than {} points in one call", limit::MAX_POINTS))
                .with("points", points.len()));
        }
        points.iter().try_for_each(|point| match point {
            Self::Metric { key, step, .. } => {
                limit::check_label("metric", key)?;
                i64::try_from(*step).map_err(|_| {
                    Error::invalid_input("the step is beyond 2^63 - 1").with("metric", key).with("step", step)
                })?;
                Ok(())
            }
            Self::Param { key, value } => {
                limit::check_label("parameter", key)?;
                limit::check_text("value", value).map_err(|error| error.with("parameter", key))
            }
            Self::Tag { key, value } => {
                limit::check_label("tag", key)?;
                limit::check_text("value", value).map_err(|error| error.with("tag", key))
            }
        })
    }
}

/// A number that was measured. Ordered by step, then time, then value in the total order of IEEE 754.
///
/// Points are equal when all their bits are, so that NaN equals itself and 0 differs from −0.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MetricPoint {
    /// After which step.
    pub step: u64,
    /// When.
    pub at: EventTime,
    /// The number.
    pub value: f64,
}

impl Ord for MetricPoint {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.step, self.at).cmp(&(other.step, other.at)).then_with(|| self.value.total_cmp(&other.value))
    }
}

impl PartialOrd for MetricPoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for MetricPoint {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for MetricPoint {}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It did what it was started for.
    Finished,
    /// It ended with an error.
    Failed,
    /// It was stopped from outside.
    Killed,
}

impl RunOutcome {
    /// The word for it: `finished`, `failed` or `killed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Killed => "killed",
        }
    }
}

/// When and how a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// How.
    pub outcome: RunOutcome,
    /// When.
    pub at: CreatedTime,
}

/// A run as far as it is known now.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The id.
    pub id: RunId,
    /// The experiment it belongs to.
    pub experiment: ExperimentName,
    /// A title for readers.
    pub title: String,
    /// Who runs it.
    pub by: String,
    /// When it started.
    pub started: CreatedTime,
    /// When and how it ended; `None` while it goes on.
    pub ended: Option<RunEnd>,
    /// The parameters.
    pub params: BTreeMap<String, String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The greatest point of each metric: that of the last step.
    pub metrics: BTreeMap<String, MetricPoint>,
}

impl RunRecord {
    /// The record of a run just started.
    #[must_use]
    pub fn new(started: CreatedTime, run: NewRun) -> Self {
        let NewRun { id, experiment, title, by, tags } = run;
        Self {
            id,
            experiment,
            title,
            by,
            started,
            ended: None,
            params: BTreeMap::new(),
            tags,
            metrics: BTreeMap::new(),
        }
    }
}
