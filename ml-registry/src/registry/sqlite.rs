//! A registry in an SQLite file.

use super::{no_number_left, registered_before, unknown_model, unknown_reference};
use crate::{
    AliasChange, AliasMove, ModelRecord, NewVersion, Registry,
    sqlite::{PAGE, SqliteDatabase, checked, failed, pages, unreadable},
};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use ml_core::{
    BoxStream, Result,
    id::{Alias, At, Digest, ModelName, ModelRef, Version},
    time::CreatedTime,
};
use sqlx::{Executor, Sqlite, Transaction};

/// A registry in an SQLite file, with every call one transaction.
///
/// ```
/// use ml_core::id::{Digest, Version};
/// use ml_registry::{NewVersion, Registry, SqliteDatabase, SqliteOptions, SqliteRegistry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let folder = tempfile::tempdir().unwrap();
/// let registry = SqliteRegistry::new(SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))).await?);
/// let version = registry.register(&"fraud".parse()?, NewVersion::new(Digest::of("manifest"), "ada")).await?;
/// assert_eq!(version, Version::FIRST);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteRegistry {
    database: SqliteDatabase,
}

impl SqliteRegistry {
    /// The registry of a database.
    #[must_use]
    pub fn new(database: SqliteDatabase) -> Self {
        Self { database }
    }

    /// The listing, or one error where the model is unknown.
    fn of_model<'a, T: Send + 'a>(
        &'a self,
        name: &'a ModelName,
        rows: BoxStream<'a, Result<T>>,
    ) -> BoxStream<'a, Result<T>> {
        let check = async move {
            if has_model(&self.database.readers, name).await? { Ok(()) } else { Err(unknown_model(name)) }
        };
        checked(check, rows)
    }
}

#[async_trait]
impl Registry for SqliteRegistry {
    async fn register(&self, name: &ModelName, new: NewVersion) -> Result<Version> {
        new.check()?;
        let failed = failed("registry.register");
        let tags = serde_json::to_string(&new.tags).map_err(unreadable)?;
        let mut transaction = self.database.write().await.map_err(&failed)?;
        if let Some(key) = &new.idempotency_key {
            let before: Option<VersionRow> =
                sqlx::query_as("SELECT version, digest, actor, created, run, description, tags FROM version WHERE model = ? AND idempotency_key = ?")
                    .bind(name.as_str())
                    .bind(key)
                    .fetch_optional(&mut *transaction)
                    .await
                    .map_err(&failed)?;
            if let Some(before) = before {
                return registered_before(name, &new, &record(name, before)?);
            }
        }
        let last: Option<u32> = sqlx::query_scalar("SELECT last_version FROM model WHERE name = ?")
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&failed)?;
        let version = last.unwrap_or(0).checked_add(1).and_then(Version::new).ok_or_else(|| no_number_left(name))?;
        sqlx::query(
            "INSERT INTO model (name, last_version) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET last_version = excluded.last_version",
        )
        .bind(name.as_str())
        .bind(version.number())
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        sqlx::query(
            "INSERT INTO version (model, version, digest, actor, created, run, description, tags, idempotency_key)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(name.as_str())
        .bind(version.number())
        .bind(&new.digest.as_bytes()[..])
        .bind(&new.by)
        .bind(self.database.now().as_micros())
        .bind(new.run.map(|run| run.to_string()))
        .bind(&new.description)
        .bind(tags)
        .bind(&new.idempotency_key)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(version)
    }

    async fn resolve(&self, at: &ModelRef) -> Result<ModelRecord> {
        let query = match &at.at {
            At::Version(version) => sqlx::query_as(
                "SELECT version, digest, actor, created, run, description, tags FROM version
                 WHERE model = ?1 AND version = ?2",
            )
            .bind(at.name.as_str())
            .bind(version.number()),
            At::Alias(alias) => sqlx::query_as(
                "SELECT version, digest, actor, created, run, description, tags FROM version
                 WHERE model = ?1 AND version = (SELECT version FROM alias WHERE model = ?1 AND alias = ?2)",
            )
            .bind(at.name.as_str())
            .bind(alias.as_str()),
        };
        let found: Option<VersionRow> =
            query.fetch_optional(&self.database.readers).await.map_err(failed("registry.resolve"))?;
        match found {
            Some(row) => record(&at.name, row),
            None if has_model(&self.database.readers, &at.name).await? => Err(unknown_reference(&at.name, &at.at)),
            None => Err(unknown_model(&at.name)),
        }
    }

    fn models(&self) -> BoxStream<'_, Result<ModelName>> {
        pages(
            String::new(),
            |name: &ModelName| name.to_string(),
            async |after: String| {
                let names: Vec<String> =
                    sqlx::query_scalar("SELECT name FROM model WHERE name > ? ORDER BY name LIMIT ?")
                        .bind(after)
                        .bind(PAGE)
                        .fetch_all(&self.database.readers)
                        .await
                        .map_err(failed("registry.models"))?;
                names.into_iter().map(|name| name.parse().map_err(unreadable)).collect()
            },
        )
    }

    fn versions<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<ModelRecord>> {
        let rows = pages(
            0,
            |record: &ModelRecord| record.version.number(),
            async |after: u32| {
                let rows: Vec<VersionRow> = sqlx::query_as(
                    "SELECT version, digest, actor, created, run, description, tags FROM version
                     WHERE model = ? AND version > ? ORDER BY version LIMIT ?",
                )
                .bind(name.as_str())
                .bind(after)
                .bind(PAGE)
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed("registry.versions"))?;
                rows.into_iter().map(|row| record(name, row)).collect()
            },
        );
        self.of_model(name, rows)
    }

    async fn set_alias(&self, name: &ModelName, change: AliasMove) -> Result<AliasChange> {
        change.check()?;
        let failed = failed("registry.set_alias");
        let verdict = change.verdict.as_ref().map(serde_json::to_string).transpose().map_err(unreadable)?;
        let mut transaction = self.database.write().await.map_err(&failed)?;
        check_target(&mut transaction, name, change.to).await?;
        let found: Option<u32> = sqlx::query_scalar("SELECT version FROM alias WHERE model = ? AND alias = ?")
            .bind(name.as_str())
            .bind(change.alias.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&failed)?;
        change.compare(name, found.map(number).transpose()?)?;

        let change = AliasChange::new(self.database.now(), change);
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO alias_change (model, alias, from_version, to_version, moved, actor, verdict)
             VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(name.as_str())
        .bind(change.alias.as_str())
        .bind(change.from.map(Version::number))
        .bind(change.to.map(Version::number))
        .bind(change.at.as_micros())
        .bind(&change.by)
        .bind(verdict)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
        let write = match change.to {
            Some(to) => sqlx::query(
                "INSERT INTO alias (model, alias, version, change) VALUES (?, ?, ?, ?)
                 ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version, change = excluded.change",
            )
            .bind(name.as_str())
            .bind(change.alias.as_str())
            .bind(to.number())
            .bind(id),
            None => sqlx::query("DELETE FROM alias WHERE model = ? AND alias = ?")
                .bind(name.as_str())
                .bind(change.alias.as_str()),
        };
        write.execute(&mut *transaction).await.map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(change)
    }

    fn aliases<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<AliasChange>> {
        let rows = pages(
            String::new(),
            |change: &AliasChange| change.alias.to_string(),
            async |after: String| {
                let rows: Vec<ChangeRow> = sqlx::query_as(
                    "SELECT id, c.alias, from_version, to_version, moved, actor, verdict
                     FROM alias AS a JOIN alias_change AS c ON c.id = a.change
                     WHERE a.model = ? AND a.alias > ? ORDER BY a.alias LIMIT ?",
                )
                .bind(name.as_str())
                .bind(after)
                .bind(PAGE)
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed("registry.aliases"))?;
                rows.into_iter().map(|row| Ok(change(row)?.1)).collect()
            },
        );
        self.of_model(name, rows)
    }

    fn alias_history<'a>(&'a self, name: &'a ModelName, alias: &'a Alias) -> BoxStream<'a, Result<AliasChange>> {
        let rows = pages(
            0,
            |(id, _): &(i64, AliasChange)| *id,
            async |after: i64| {
                let rows: Vec<ChangeRow> = sqlx::query_as(
                    "SELECT id, alias, from_version, to_version, moved, actor, verdict FROM alias_change
                     WHERE model = ? AND alias = ? AND id > ? ORDER BY id LIMIT ?",
                )
                .bind(name.as_str())
                .bind(alias.as_str())
                .bind(after)
                .bind(PAGE)
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed("registry.alias_history"))?;
                rows.into_iter().map(change).collect()
            },
        );
        self.of_model(name, Box::pin(rows.map_ok(|(_, change)| change)))
    }
}

/// version, digest, actor, created, run, description, tags
type VersionRow = (u32, Vec<u8>, String, i64, Option<String>, String, String);

fn record(name: &ModelName, row: VersionRow) -> Result<ModelRecord> {
    let (version, digest, by, created, run, description, tags) = row;
    let digest = <[u8; 32]>::try_from(digest).map_err(|_| unreadable("a digest has 32 bytes"))?;
    let mut new = NewVersion::new(Digest::from_bytes(digest), by).with_description(description);
    new.run = run.map(|run| run.parse().map_err(unreadable)).transpose()?;
    new.tags = serde_json::from_str(&tags).map_err(unreadable)?;
    Ok(ModelRecord::new(name.clone(), number(version)?, CreatedTime::from_micros(created), new))
}

/// id, alias, from, to, moved, actor, verdict
type ChangeRow = (i64, String, Option<u32>, Option<u32>, i64, String, Option<String>);

fn change(row: ChangeRow) -> Result<(i64, AliasChange)> {
    let (id, alias, from, to, moved, by, verdict) = row;
    let change = AliasMove {
        alias: alias.parse().map_err(unreadable)?,
        expect: from.map(number).transpose()?,
        to: to.map(number).transpose()?,
        by,
        verdict: verdict.map(|verdict| serde_json::from_str(&verdict).map_err(unreadable)).transpose()?,
    };
    Ok((id, AliasChange::new(CreatedTime::from_micros(moved), change)))
}

fn number(number: u32) -> Result<Version> {
    Version::new(number).ok_or_else(|| unreadable("no version is 0"))
}

async fn has_model<'e>(executor: impl Executor<'e, Database = Sqlite>, name: &ModelName) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM model WHERE name = ?)")
        .bind(name.as_str())
        .fetch_one(executor)
        .await
        .map_err(failed("registry.resolve"))
}

async fn check_target(
    transaction: &mut Transaction<'static, Sqlite>,
    name: &ModelName,
    to: Option<Version>,
) -> Result<()> {
    if !has_model(&mut **transaction, name).await? {
        return Err(unknown_model(name));
    }
    let Some(to) = to else { return Ok(()) };
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM version WHERE model = ? AND version = ?)")
        .bind(name.as_str())
        .bind(to.number())
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed("registry.set_alias"))?;
    if is_there { Ok(()) } else { Err(unknown_reference(name, &At::Version(to))) }
}
