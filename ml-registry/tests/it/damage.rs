//! Files that are damaged, foreign, of a later schema or not to be written: clear errors, no panic, nothing overwritten.

use futures_util::TryStreamExt as _;
use ml_core::{Error, ErrorKind, Result, Seed, id::Digest};
use ml_registry::{
    ExperimentTracker, LocalArtifactStore, NewRun, NewVersion, Point, Registry, SqliteDatabase, SqliteOptions,
    SqliteRegistry, SqliteTracker,
};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let text = "this is a letter, not a database\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().starts_with("sqlite.open: the file is no database, or is damaged (path: "), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn damage_anywhere_is_an_error_or_harmless_but_never_a_panic() {
    let (folder, path) = filled().await;
    let sound = fs::read(&path).unwrap();
    let mut random = Seed::new(1).stream("damage");
    let mut found = 0;
    for round in 0..60 {
        let mut damaged = sound.clone();
        match round % 3 {
            0 => damaged.truncate(random.below(damaged.len())),
            1 => {
                let page = random.below(damaged.len() / 4096) * 4096;
                damaged[page..page + 4096].fill_with(|| random.next_u64().to_le_bytes()[0]);
            }
            _ => {
                for _ in 0..64 {
                    let at = random.below(damaged.len());
                    damaged[at] = random.next_u64().to_le_bytes()[0];
                }
            }
        }
        let copy = folder.path().join(format!("damaged-{round}.db"));
        fs::write(&copy, &damaged).unwrap();
        if let Err(error) = use_all(&copy).await {
            found += 1;
            let kinds = [
                ErrorKind::Conflict,
                ErrorKind::Corrupt,
                ErrorKind::Internal,
                ErrorKind::InvalidInput,
                ErrorKind::NotFound,
                ErrorKind::Unavailable,
                ErrorKind::Unsupported,
            ];
            assert!(kinds.contains(&error.kind()), "{error:?}");
        }
    }
    assert!(found > 30, "most damage is noticed: {found} of 60");
    use_all(&path).await.unwrap();
}

#[tokio::test]
async fn the_database_of_another_application_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (n, statement) in ["CREATE TABLE customer (id INTEGER)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"]
        .iter()
        .enumerate()
    {
        let path = folder.path().join(format!("{n}.db"));
        sql(&path, statement).await;
        let before = fs::read(&path).unwrap();
        let error = open(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{statement}: {error}");
        assert_eq!(fs::read(&path).unwrap(), before, "{statement}");
    }
}

#[tokio::test]
async fn a_later_schema_is_refused_and_left_alone() {
    let (_folder, path) = filled().await;
    sql(&path, "PRAGMA user_version = 2").await;
    let error = open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("the database is of a later schema (schema: 2, known: 1, path: "), "{error}");
    sql(&path, "PRAGMA user_version = 1").await;
    use_all(&path).await.unwrap();
}

#[tokio::test]
async fn versions_and_history_cannot_be_changed_in_the_file() {
    let (_folder, path) = filled().await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for statement in [
        "UPDATE version SET actor = 'eve'",
        "DELETE FROM version",
        "UPDATE alias_change SET actor = 'eve'",
        "DELETE FROM alias_change",
    ] {
        let error = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("is never"), "{statement}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_may_not_be_written_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    // Permissions do not hold the superuser back; the folder of the kernel's settings does.
    let closed = if fs::write(closed.join("probe"), "").is_ok() { PathBuf::from("/proc/sys") } else { closed };

    let database = open(&closed.join("registry.db")).await.unwrap_err();
    assert!(database.to_string().contains("the folder of the database cannot be written"), "{database}");
    let artifacts = LocalArtifactStore::open(closed.join("artifacts")).await.unwrap_err();
    assert!(artifacts.to_string().contains("the artifact folder cannot be opened"), "{artifacts}");
    for error in [database, artifacts] {
        assert!(matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unavailable), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let (_folder, path) = filled().await;
    let database = open(&path).await.unwrap();
    database.close().await;
    let error = SqliteRegistry::new(database).resolve(&"m@1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

async fn open(path: &Path) -> Result<SqliteDatabase> {
    SqliteDatabase::open(SqliteOptions::new(path)).await
}

async fn sql(path: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A sound file with something in every table, all of it in the main file.
async fn filled() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let database = open(&path).await.unwrap();
    let (registry, tracker) = (SqliteRegistry::new(database.clone()), SqliteTracker::new(database.clone()));
    let name = "m".parse().unwrap();
    let mut last = None;
    for n in 0..100_u32 {
        let new = NewVersion::new(Digest::of(n.to_le_bytes()), "ada").with_description("x".repeat(200));
        let version = registry.register(&name, new).await.unwrap();
        let change = ml_registry::AliasMove::set("champion".parse().unwrap(), version, "ada").expecting(last);
        last = registry.set_alias(&name, change).await.unwrap().to;
    }
    let run = tracker.start(NewRun::new("e".parse().unwrap(), "ada")).await.unwrap();
    let points: Vec<_> = (0..500_u32).map(|n| Point::metric("loss", u64::from(n), f64::from(n))).collect();
    tracker.log(&run, &points).await.unwrap();
    tracker.log(&run, &[Point::param("p", 1), Point::tag("t", "v")]).await.unwrap();
    database.close().await;
    (folder, path)
}

/// Reads everything and writes something.
async fn use_all(path: &Path) -> Result<()> {
    let database = open(path).await?;
    let used = async {
        let (registry, tracker) = (SqliteRegistry::new(database.clone()), SqliteTracker::new(database.clone()));
        let name = "m".parse()?;
        let versions: Vec<_> = registry.versions(&name).try_collect().await?;
        let history: Vec<_> = registry.alias_history(&name, &"champion".parse()?).try_collect().await?;
        let runs: Vec<_> = tracker.runs(&"e".parse()?).try_collect().await?;
        for run in &runs {
            tracker.metric_history(&run.id, "loss").try_collect::<Vec<_>>().await?;
        }
        database.check_integrity().await?;
        registry.register(&name, NewVersion::new(Digest::of("new"), "ada")).await?;
        let whole = versions.len() >= 100 && history.len() >= 100 && !runs.is_empty();
        if whole { Ok(()) } else { Err(Error::corrupt("rows are missing")) }
    };
    let outcome = used.await;
    database.close().await;
    outcome
}
