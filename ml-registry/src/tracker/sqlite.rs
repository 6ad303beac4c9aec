//! A tracker in an SQLite file.

use super::{another_value, ended_run, started_before, unknown_run};
use crate::{
    ExperimentTracker, MetricPoint, NewRun, Point, RunOutcome, RunRecord,
    run::RunEnd,
    sqlite::{PAGE, SqliteDatabase, checked, failed, pages, unreadable},
};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use ml_core::{
    BoxStream, Result,
    id::{ExperimentName, RunId},
    time::{CreatedTime, EventTime},
};
use serde::Serialize;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use std::collections::BTreeMap;

/// A tracker in an SQLite file. A call to log is one transaction of a few statements, however many points it has.
///
/// ```
/// use ml_registry::{ExperimentTracker, NewRun, Point, SqliteDatabase, SqliteOptions, SqliteTracker};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let folder = tempfile::tempdir().unwrap();
/// let tracker = SqliteTracker::new(SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))).await?);
/// let run = tracker.start(NewRun::new("late-arrival".parse()?, "ada")).await?;
/// tracker.log(&run, &[Point::metric("loss", 0, 0.7)]).await?;
/// assert_eq!(tracker.run(&run).await?.metrics["loss"].value, 0.7);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteTracker {
    database: SqliteDatabase,
}

impl SqliteTracker {
    /// The tracker of a database.
    #[must_use]
    pub fn new(database: SqliteDatabase) -> Self {
        Self { database }
    }

    /// Starts a write to a run that goes on.
    async fn write_to(&self, run: &RunId) -> Result<Transaction<'static, Sqlite>> {
        let failed = failed("tracker.log");
        let mut transaction = self.database.write().await.map_err(&failed)?;
        let outcome: Option<Option<String>> = sqlx::query_scalar("SELECT outcome FROM run WHERE id = ?")
            .bind(run.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        match outcome.ok_or_else(|| unknown_run(run))? {
            Some(outcome) => Err(ended_run(run, parse_outcome(&outcome)?)),
            None => Ok(transaction),
        }
    }
}

#[async_trait]
impl ExperimentTracker for SqliteTracker {
    async fn start(&self, run: NewRun) -> Result<RunId> {
        run.check()?;
        let failed = failed("tracker.start");
        let mut transaction = self.database.write().await.map_err(&failed)?;
        if let Some(before) = load(&mut transaction, &run.id).await? {
            return started_before(&run, &before);
        }
        sqlx::query("INSERT INTO run (id, experiment, title, actor, started) VALUES (?, ?, ?, ?, ?)")
            .bind(run.id.to_string())
            .bind(run.experiment.as_str())
            .bind(&run.title)
            .bind(&run.by)
            .bind(self.database.now().as_micros())
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        let tags: Vec<_> = run.tags.iter().collect();
        sqlx::query(SET_TAGS)
            .bind(run.id.to_string())
            .bind(json(&tags)?)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(run.id)
    }

    async fn log(&self, run: &RunId, points: &[Point]) -> Result<()> {
        Point::check_all(points)?;
        let failed = failed("tracker.log");
        let now = EventTime::from(self.database.now());
        let (mut params, mut tags, mut metrics) = (Vec::new(), BTreeMap::new(), Vec::new());
        for point in points {
            match point {
                Point::Param { key, value } => params.push((key, value)),
                Point::Tag { key, value } => {
                    tags.insert(key, value);
                }
                Point::Metric { key, value, step, at } => {
                    metrics.push((key, step, at.unwrap_or(now).as_micros(), to_ordered_bits(*value)));
                }
            }
        }
        let (params, tags, metrics) = (json(&params)?, json(&tags.into_iter().collect::<Vec<_>>())?, json(&metrics)?);

        let mut transaction = self.write_to(run).await?;
        for (statement, rows) in
            [(ADD_PARAMS, &params), (SET_TAGS, &tags), (ADD_METRICS, &metrics), (SET_LATEST_METRICS, &metrics)]
        {
            sqlx::query(statement)
                .bind(run.to_string())
                .bind(rows)
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        let other: Option<String> = sqlx::query_scalar(
            "SELECT p.name FROM json_each(?2) AS j JOIN run_param AS p
             ON p.run = ?1 AND p.name = j.value ->> 0 AND p.value <> j.value ->> 1 LIMIT 1",
        )
        .bind(run.to_string())
        .bind(&params)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
        if let Some(key) = other {
            return Err(another_value(run, &key));
        }
        transaction.commit().await.map_err(failed)
    }

    async fn finish(&self, run: &RunId, outcome: RunOutcome) -> Result<()> {
        let failed = failed("tracker.finish");
        let mut transaction = self.write_to(run).await?;
        sqlx::query("UPDATE run SET outcome = ?, ended = ? WHERE id = ?")
            .bind(outcome.as_str())
            .bind(self.database.now().as_micros())
            .bind(run.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn run(&self, run: &RunId) -> Result<RunRecord> {
        // One transaction, so that the parts of the record are of one moment.
        let mut transaction = self.database.readers.begin().await.map_err(failed("tracker.run"))?;
        load(&mut transaction, run).await?.ok_or_else(|| unknown_run(run))
    }

    fn metric_history<'a>(&'a self, run: &'a RunId, key: &'a str) -> BoxStream<'a, Result<MetricPoint>> {
        let check = async move {
            let is_known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM run WHERE id = ?)")
                .bind(run.to_string())
                .fetch_one(&self.database.readers)
                .await
                .map_err(failed("tracker.metric_history"))?;
            if is_known { Ok(()) } else { Err(unknown_run(run)) }
        };
        let rows = pages(
            (-1, i64::MIN, i64::MIN),
            |row: &(i64, i64, i64)| *row,
            move |(step, at, value): (i64, i64, i64)| async move {
                sqlx::query_as(
                    "SELECT step, measured, value FROM metric
                     WHERE run = ?1 AND name = ?2 AND (step, measured, value) > (?3, ?4, ?5)
                     ORDER BY step, measured, value LIMIT ?6",
                )
                .bind(run.to_string())
                .bind(key)
                .bind(step)
                .bind(at)
                .bind(value)
                .bind(PAGE)
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed("tracker.metric_history"))
            },
        );
        checked(check, Box::pin(rows.map(|row| row.and_then(point))))
    }

    fn experiments(&self) -> BoxStream<'_, Result<ExperimentName>> {
        pages(
            String::new(),
            |name: &ExperimentName| name.to_string(),
            async |after: String| {
                let names: Vec<String> = sqlx::query_scalar(
                    "SELECT DISTINCT experiment FROM run WHERE experiment > ? ORDER BY experiment LIMIT ?",
                )
                .bind(after)
                .bind(PAGE)
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed("tracker.experiments"))?;
                names.into_iter().map(|name| name.parse().map_err(unreadable)).collect()
            },
        )
    }

    fn runs<'a>(&'a self, experiment: &'a ExperimentName) -> BoxStream<'a, Result<RunRecord>> {
        pages(
            (i64::MIN, String::new()),
            |run: &RunRecord| (run.started.as_micros(), run.id.to_string()),
            async |(started, id): (i64, String)| {
                let failed = failed("tracker.runs");
                let mut transaction = self.database.readers.begin().await.map_err(&failed)?;
                let ids: Vec<String> = sqlx::query_scalar(
                    "SELECT id FROM run WHERE experiment = ?1 AND (started, id) > (?2, ?3) ORDER BY started, id LIMIT ?4",
                )
                .bind(experiment.as_str())
                .bind(started)
                .bind(id)
                .bind(PAGE)
                .fetch_all(&mut *transaction)
                .await
                .map_err(failed)?;
                let mut runs = Vec::with_capacity(ids.len());
                for id in ids {
                    let id = id.parse().map_err(unreadable)?;
                    runs.push(load(&mut transaction, &id).await?.ok_or_else(|| unknown_run(&id))?);
                }
                Ok(runs)
            },
        )
    }
}

// Rows come as one JSON array of arrays: one statement, however many there are. `WHERE true` keeps SQLite from reading
// ON CONFLICT as part of a join.
const ADD_PARAMS: &str = "INSERT INTO run_param (run, name, value)
     SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
     ON CONFLICT (run, name) DO NOTHING";
const SET_TAGS: &str = "INSERT INTO run_tag (run, name, value)
     SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
     ON CONFLICT (run, name) DO UPDATE SET value = excluded.value";
const ADD_METRICS: &str = "INSERT INTO metric (run, name, step, measured, value)
     SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2) WHERE true
     ON CONFLICT (run, name, step, measured, value) DO NOTHING";
const SET_LATEST_METRICS: &str = "INSERT INTO latest_metric (run, name, step, measured, value)
     SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2) WHERE true
     ON CONFLICT (run, name) DO UPDATE
     SET step = excluded.step, measured = excluded.measured, value = excluded.value
     WHERE (excluded.step, excluded.measured, excluded.value) > (step, measured, value)";

/// experiment, title, actor, started, outcome, ended
type RunRow = (String, String, String, i64, Option<String>, Option<i64>);

async fn load(connection: &mut SqliteConnection, id: &RunId) -> Result<Option<RunRecord>> {
    let failed = failed("tracker.run");
    let row: Option<RunRow> =
        sqlx::query_as("SELECT experiment, title, actor, started, outcome, ended FROM run WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut *connection)
            .await
            .map_err(&failed)?;
    let Some((experiment, title, by, started, outcome, ended)) = row else { return Ok(None) };
    let mut run = NewRun::new(experiment.parse().map_err(unreadable)?, by).with_title(title);
    run.id = *id;
    let mut record = RunRecord::new(CreatedTime::from_micros(started), run);
    if let (Some(outcome), Some(at)) = (outcome, ended) {
        record.ended = Some(RunEnd { outcome: parse_outcome(&outcome)?, at: CreatedTime::from_micros(at) });
    }
    let params: Vec<(String, String)> = sqlx::query_as("SELECT name, value FROM run_param WHERE run = ?")
        .bind(id.to_string())
        .fetch_all(&mut *connection)
        .await
        .map_err(&failed)?;
    let tags: Vec<(String, String)> = sqlx::query_as("SELECT name, value FROM run_tag WHERE run = ?")
        .bind(id.to_string())
        .fetch_all(&mut *connection)
        .await
        .map_err(&failed)?;
    let metrics: Vec<(String, i64, i64, i64)> =
        sqlx::query_as("SELECT name, step, measured, value FROM latest_metric WHERE run = ?")
            .bind(id.to_string())
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
    record.params = params.into_iter().collect();
    record.tags = tags.into_iter().collect();
    record.metrics = metrics
        .into_iter()
        .map(|(key, step, at, value)| Ok((key, point((step, at, value))?)))
        .collect::<Result<_>>()?;
    Ok(Some(record))
}

fn json(rows: &impl Serialize) -> Result<String> {
    serde_json::to_string(rows).map_err(unreadable)
}

fn point((step, at, value): (i64, i64, i64)) -> Result<MetricPoint> {
    let step = u64::try_from(step).map_err(unreadable)?;
    Ok(MetricPoint { step, at: EventTime::from_micros(at), value: from_ordered_bits(value) })
}

fn parse_outcome(text: &str) -> Result<RunOutcome> {
    [RunOutcome::Finished, RunOutcome::Failed, RunOutcome::Killed]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| unreadable("a run ends finished, failed or killed"))
}

/// The bits of a double as an integer in the order of [`f64::total_cmp`].
fn to_ordered_bits(value: f64) -> i64 {
    flip(value.to_bits().cast_signed())
}

fn from_ordered_bits(bits: i64) -> f64 {
    f64::from_bits(flip(bits).cast_unsigned())
}

/// Inverts all but the sign of a negative number; twice is as before.
fn flip(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stored_numbers_keep_their_bits_and_order(a in any::<u64>(), b in any::<u64>()) {
            let (a, b) = (f64::from_bits(a), f64::from_bits(b));
            prop_assert_eq!(from_ordered_bits(to_ordered_bits(a)).to_bits(), a.to_bits());
            prop_assert_eq!(to_ordered_bits(a).cmp(&to_ordered_bits(b)), a.total_cmp(&b));
        }
    }
}
