//! The SQLite file that registry and tracker share.
//!
//! # File format
//! An SQLite 3 database in WAL mode, `application_id` 0x4D4C_5052 ("MLPR"), `user_version` the number of its schema.
//! `sqlite/schema_1.sql` in the source is schema 1, with a comment on every table that needs one. A schema is never
//! edited once released: the next one is a further file that turns the one before into it. A file of a later schema is
//! refused. Beside the file lie `-wal` and `-shm`, which belong to SQLite, and `.lock`, which is locked while the file
//! is opened and brought up to date, so that processes starting together do not do it twice.
//!
//! The file belongs on a local disk: SQLite's locks do not hold on network file systems.

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use ml_core::{
    BoxStream, Error, ErrorKind, Result,
    time::{Clock, CreatedTime, SystemClock},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool, Transaction,
    sqlite::{Sqlite, SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{self, File, TryLockError},
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How to open a [`SqliteDatabase`].
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; it and its folder are made where they are not there.
    pub path: PathBuf,
    /// Connections that read side by side; 4 by default. One more writes.
    pub readers: NonZeroU32,
    /// How long a call waits for its turn, also behind other processes; 10 seconds by default.
    pub busy_timeout: Duration,
    /// Where the times of records come from.
    pub clock: Arc<dyn Clock>,
}

impl SqliteOptions {
    /// Opens this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: NonZeroU32::new(4).expect("not zero"),
            busy_timeout: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
        }
    }

    /// The same with another number of readers.
    #[must_use]
    pub fn with_readers(mut self, readers: NonZeroU32) -> Self {
        self.readers = readers;
        self
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

/// An open database file. Clones share its connections; any number of processes may have it open.
///
/// A write is acknowledged when it is on the disk (`synchronous = FULL`): it outlives a crash of the process and of the
/// machine.
///
/// ```
/// use ml_registry::{SqliteDatabase, SqliteOptions, SqliteRegistry, SqliteTracker};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let folder = tempfile::tempdir().unwrap();
/// let database = SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))).await?;
/// let registry = SqliteRegistry::new(database.clone());
/// let tracker = SqliteTracker::new(database.clone());
/// database.check_integrity().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    clock: Arc<dyn Clock>,
}

impl SqliteDatabase {
    /// Opens a file, makes it where it is not there, and brings it up to date.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) for a file that is damaged or no database, [`InvalidInput`](ErrorKind::InvalidInput) for
    /// the database of another application, [`Unsupported`](ErrorKind::Unsupported) for a later schema,
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) for a folder that may not be written,
    /// [`Timeout`](ErrorKind::Timeout) when other processes do not let go of it.
    pub async fn open(options: SqliteOptions) -> Result<Self> {
        let SqliteOptions { path, readers, busy_timeout, clock } = options;
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .busy_timeout(busy_timeout)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let lock = lock(&path, busy_timeout).await?;
        prepare(&connect).await.map_err(|error| error.with("path", path.display()))?;
        drop(lock);

        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(busy_timeout)
                .test_before_acquire(false)
                // SQLite ends a transaction by itself when the disk is full or fails, and the driver then counts it as open
                // for ever. Such a connection is replaced, or no later call could write.
                .before_acquire(|connection, _| Box::pin(future::ready(Ok(!connection.is_in_transaction()))))
                .connect_lazy_with(connect.clone())
        };
        Ok(Self { writer: pool(1), readers: pool(readers.get()), clock })
    }

    /// Reads the whole file and checks that it is sound.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt), naming what was found.
    pub async fn check_integrity(&self) -> Result<()> {
        let failed = failed("sqlite.check_integrity");
        let found: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&self.readers).await.map_err(&failed)?;
        if found != ["ok"] {
            return Err(Error::corrupt("the database file is damaged").with("found", found.join("; ")));
        }
        let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(&self.readers).await.map_err(failed)?;
        if orphans.is_empty() {
            Ok(())
        } else {
            Err(Error::corrupt("rows of the database refer to rows that are not there").with("rows", orphans.len()))
        }
    }

    /// Waits for calls that go on and closes the connections. Calls that come later fail.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Starts a transaction that writes; the turn is taken at once, so that what it reads stays true until it commits.
    pub(crate) async fn write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    pub(crate) fn now(&self) -> CreatedTime {
        self.clock.now()
    }
}

/// "MLPR" in ASCII.
const APPLICATION_ID: i32 = 0x4D4C_5052;

/// The steps from one schema to the next, each run once in the life of a file.
const SCHEMAS: [&str; 1] = [include_str!("sqlite/schema_1.sql")];

async fn prepare(connect: &SqliteConnectOptions) -> Result<()> {
    let failed = failed("sqlite.open");
    let mut connection = connect.connect().await.map_err(&failed)?;
    let done = check_identity(&mut connection).await?;
    // Kept in the file, and changed before the transaction, in which it could not be.
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await.map_err(&failed)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
    for (schema, step) in SCHEMAS.iter().enumerate().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await.map_err(&failed)?;
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}", schema + 1);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await.map_err(&failed)?;
    }
    transaction.commit().await.map_err(&failed)?;
    connection.close().await.map_err(failed)
}

/// Tells the schema of the file, before anything is written to it.
async fn check_identity(connection: &mut SqliteConnection) -> Result<usize> {
    let failed = failed("sqlite.open");
    let (application, schema, tables): (i32, i32, i64) = sqlx::query_as(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    match (application, usize::try_from(schema)) {
        (0, Ok(0)) if tables == 0 => Ok(0),
        (APPLICATION_ID, Ok(schema)) if schema > SCHEMAS.len() => {
            Err(Error::unsupported("the database is of a later schema")
                .with("schema", schema)
                .with("known", SCHEMAS.len()))
        }
        (APPLICATION_ID, Ok(schema)) if schema > 0 => Ok(schema),
        _ => Err(Error::invalid_input("the database belongs to another application")
            .with("application_id", format!("{application:#010x}"))),
    }
}

/// Takes the file's turn to be opened. Polled and not waited for, so that neither a thread nor the caller hangs on a
/// process that was stopped while it had it.
async fn lock(path: &Path, patience: Duration) -> Result<File> {
    let failed = |source: io::Error| {
        let kind = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, "the folder of the database cannot be written")
            .op("sqlite.open")
            .with("path", path.display())
            .with_source(source)
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(beside).map_err(failed)?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::timeout("another process does not finish opening the database")
                    .op("sqlite.open")
                    .with("path", path.display()));
            }
        }
    }
}

/// Turns an error of SQLite into ours, by its primary result code (<https://www.sqlite.org/rescode.html>).
pub(crate) fn failed(op: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| {
        let (kind, message) = match &source {
            sqlx::Error::Database(error) => {
                let code: Option<i32> = error.code().and_then(|code| code.parse().ok());
                match code.map(|code| code & 0xFF) {
                    Some(3 | 23) => (ErrorKind::PermissionDenied, "the database may not be opened"),
                    Some(5 | 6) => (ErrorKind::Unavailable, "the database is busy"),
                    Some(8) => (ErrorKind::PermissionDenied, "the database may not be written"),
                    Some(10) => (ErrorKind::Unavailable, "the disk failed"),
                    Some(11) => (ErrorKind::Corrupt, "the database file is damaged"),
                    Some(13) => (ErrorKind::ResourceExhausted, "the disk is full"),
                    Some(14) => (ErrorKind::Unavailable, "the database file cannot be opened"),
                    Some(26) => (ErrorKind::Corrupt, "the file is no database, or is damaged"),
                    _ => (ErrorKind::Internal, "the database refused a statement"),
                }
            }
            sqlx::Error::Io(_) => (ErrorKind::Unavailable, "the disk failed"),
            sqlx::Error::PoolTimedOut => (ErrorKind::Timeout, "the database did not come to this call in time"),
            sqlx::Error::PoolClosed => (ErrorKind::Unavailable, "the database was closed"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                (ErrorKind::Corrupt, "a row of the database cannot be read")
            }
            _ => (ErrorKind::Internal, "the database driver failed"),
        };
        Error::new(kind, message).op(op).with_source(source)
    }
}

/// A value that we never write.
pub(crate) fn unreadable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::corrupt("a row of the database cannot be read").with_source(source)
}

/// A listing, or one error where what it belongs to is not there.
pub(crate) fn checked<'a, T: Send + 'a>(
    check: impl Future<Output = Result<()>> + Send + 'a,
    rows: BoxStream<'a, Result<T>>,
) -> BoxStream<'a, Result<T>> {
    Box::pin(stream::once(check).filter_map(|checked| future::ready(checked.err().map(Err))).chain(rows))
}

/// How many rows a listing reads at once: it holds no connection between two pages.
pub(crate) const PAGE: u32 = 32;

/// A listing by pages: `page` gives the rows after a key, at most [`PAGE`] of them.
pub(crate) fn pages<'a, T, K, F>(
    first: K,
    key: impl Fn(&T) -> K + Send + 'a,
    page: impl Fn(K) -> F + Send + 'a,
) -> BoxStream<'a, Result<T>>
where
    T: Send + 'a,
    K: Send + 'a,
    F: Future<Output = Result<Vec<T>>> + Send + 'a,
{
    let pages = stream::try_unfold((Some(first), key, page), |(after, key, page)| async move {
        let Some(after) = after else { return Ok(None) };
        let rows = page(after).await?;
        let next = rows.last().filter(|_| rows.len() == PAGE as usize).map(&key);
        Ok(Some((stream::iter(rows.into_iter().map(Ok)), (next, key, page))))
    });
    Box::pin(pages.try_flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewVersion, Registry as _, SqliteRegistry};
    use ml_core::id::{Digest, ModelName};

    async fn database(busy_timeout: Duration) -> (SqliteDatabase, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = SqliteOptions::new(folder.path().join("registry.db")).with_busy_timeout(busy_timeout);
        (SqliteDatabase::open(options).await.expect("a new file"), folder)
    }

    fn new(text: &str) -> NewVersion {
        NewVersion::new(Digest::of(text), "ada").with_description(text)
    }

    #[tokio::test]
    async fn a_full_disk_refuses_the_write_and_keeps_what_was_acknowledged() {
        let (database, _folder) = database(Duration::from_secs(10)).await;
        let registry = SqliteRegistry::new(database.clone());
        let name: ModelName = "m".parse().expect("a name");
        // SQLite gives the same error when the file system has no room. There is one connection that writes.
        let limit = async |pages: &'static str| {
            sqlx::query(pages).execute(&database.writer).await.expect("a pragma");
        };
        limit("PRAGMA max_page_count = 40").await;
        let text = "x".repeat(8000);
        let mut acknowledged = 0;
        let error = loop {
            match registry.register(&name, new(&text)).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
        assert_eq!(error.to_string(), "registry.register: the disk is full");
        assert!(acknowledged > 0);
        assert_eq!(registry.versions(&name).try_collect::<Vec<_>>().await.expect("readable").len(), acknowledged);

        limit("PRAGMA max_page_count = 1000000").await;
        let next = registry.register(&name, new(&text)).await.expect("room again");
        assert_eq!(next.number() as usize, acknowledged + 1, "the failed write has taken no number");
        database.check_integrity().await.expect("sound");
    }

    #[tokio::test]
    async fn a_file_that_another_process_keeps_locked_is_unavailable_to_writers_only() {
        let (database, folder) = database(Duration::from_millis(20)).await;
        let registry = SqliteRegistry::new(database);
        let name: ModelName = "m".parse().expect("a name");
        registry.register(&name, new("first")).await.expect("free");

        let other = SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))).await.expect("there");
        let turn = other.write().await.expect("free");
        let error = registry.register(&name, new("second")).await.expect_err("locked");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.is_retryable());
        assert_eq!(error.to_string(), "registry.register: the database is busy");
        assert_eq!(registry.versions(&name).try_collect::<Vec<_>>().await.expect("readable").len(), 1);
        turn.rollback().await.expect("given back");
        registry.register(&name, new("second")).await.expect("free again");
    }
}
