//! An offline store in Parquet files on the local disk.

use super::{OfflineCapabilities, Scan, unknown_view};
use crate::{FeatureView, OfflineStore};
use async_trait::async_trait;
use futures_util::stream;
use ml_core::{BoxStream, Compute, Error, ErrorKind, Result, arrow::array::RecordBatch, time::EventTime};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::Compression,
    file::{
        metadata::{KeyValue, RowGroupMetaData},
        properties::WriterProperties,
        statistics::Statistics,
    },
};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// All rows in Parquet files, one folder a view, for any number of processes on one machine.
///
/// ```text
/// <root>/.lock                         held while something is published
/// <root>/.in-use                       locked shared by every open store, exclusive by the one that cleans up
/// <root>/<view>/view.json              the definition
/// <root>/<view>/00000000000000000001.parquet, 00000000000000000002.parquet, …   one file an append, in order of arrival
/// ```
///
/// A file is written under another name, synced to the disk and then renamed, so a crash leaves it whole or unseen; what
/// is left over under other names is never read, and removed by the next store to open the folder alone. A file that is
/// missing between others is [`Corrupt`](ml_core::ErrorKind::Corrupt) to a scan, as a damaged one is: training data never
/// gets fewer in silence. Files are compressed with Snappy; row groups whose statistics say that they
/// hold no event time asked for are not read. The disk is read and written on the pool of [`Compute`], never on the
/// threads of the async runtime.
///
/// ```
/// use ml_core::{Compute, arrow::datatypes::DataType};
/// use ml_features::{Entity, FeatureView, OfflineStore, offline::parquet::ParquetOfflineStore};
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let folder = tempfile::tempdir().unwrap();
/// let compute = Compute::new(NonZeroUsize::MIN)?;
/// let sensor = Entity::new("sensor".parse()?, [("id", DataType::Int64)])?;
/// let view = FeatureView::new("climate".parse()?, sensor, "at", [("celsius", DataType::Float64)])?;
/// ParquetOfflineStore::open(folder.path(), compute.clone()).await?.apply(&view).await?;
///
/// let reopened = ParquetOfflineStore::open(folder.path(), compute).await?;
/// assert_eq!(reopened.views().await?, [view]);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ParquetOfflineStore {
    root: Arc<Path>,
    compute: Compute,
    /// Held so that no other store takes our unfinished files for leftovers.
    _in_use: Option<Arc<File>>,
}

impl ParquetOfflineStore {
    /// Opens a folder, making it where it is missing. One that may not be written can be read.
    ///
    /// Files cut off by a crash are removed if no other store, in any process, has the folder open.
    ///
    /// # Errors
    /// [`Unavailable`](ml_core::ErrorKind::Unavailable) or [`PermissionDenied`](ml_core::ErrorKind::PermissionDenied) when
    /// the folder cannot be made.
    pub async fn open(root: impl Into<PathBuf>, compute: Compute) -> Result<Self> {
        let root: Arc<Path> = root.into().into();
        let made = root.clone();
        let in_use = compute
            .run(move || {
                fs::create_dir_all(&made).map_err(|e| io_error("a folder cannot be made", &made, e))?;
                enter(&made)
            })
            .await??;
        Ok(Self { root, compute, _in_use: in_use.map(Arc::new) })
    }

    /// Runs disk work on the pool.
    async fn run<T: Send + 'static>(&self, job: impl FnOnce(&Path) -> Result<T> + Send + 'static) -> Result<T> {
        let root = self.root.clone();
        self.compute.run(move || job(&root)).await?
    }
}

#[async_trait]
impl OfflineStore for ParquetOfflineStore {
    fn capabilities(&self) -> OfflineCapabilities {
        OfflineCapabilities::default().with_durability()
    }

    async fn apply(&self, view: &FeatureView) -> Result<()> {
        let view = view.clone();
        self.run(move |root| apply(root, &view)).await
    }

    async fn views(&self) -> Result<Vec<FeatureView>> {
        self.run(read_views).await
    }

    async fn append(&self, view: &FeatureView, rows: RecordBatch) -> Result<()> {
        let view = view.clone();
        self.run(move |root| append(root, &view, &rows)).await
    }

    async fn scan(&self, view: &FeatureView, scan: Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        scan.columns(view)?;
        let folder = self.root.join(view.name().as_str());
        let known = view.clone();
        let files = self
            .run(move |_| {
                check_applied(&folder, &known)?;
                all_row_files(&folder)
            })
            .await?;
        let reader = Reader { view: view.clone(), scan, files, open: None };
        let compute = self.compute.clone();
        Ok(Box::pin(stream::try_unfold(reader, move |mut reader| {
            let compute = compute.clone();
            async move { compute.run(move || Ok(reader.next()?.map(|batch| (batch, reader)))).await? }
        })))
    }
}

/// The definition of a view, in its folder.
const DEFINITION: &str = "view.json";
/// The name of the view in the footer of each file, so that a foreign file is told from one before a feature was added.
const VIEW_KEY: &str = "ml_features.view";
const EXTENSION: &str = "parquet";
/// Small enough that a range of time skips most of a large file.
const ROW_GROUP_ROWS: usize = 131_072;
const BATCH_ROWS: usize = 65_536;

fn apply(root: &Path, view: &FeatureView) -> Result<()> {
    let _lock = lock(root)?;
    let folder = root.join(view.name().as_str());
    let file = folder.join(DEFINITION);
    match read_view(&file) {
        Ok(current) if current == *view => return Ok(()),
        Ok(current) => current.check_successor(view)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(&folder).map_err(|e| io_error("a folder cannot be made", &folder, e))?;
            sync_folder(root)?;
        }
        Err(error) => return Err(error),
    }
    let json = serde_json::to_vec_pretty(view)
        .map_err(|source| Error::internal("a view cannot be written").with("view", view.name()).with_source(source))?;
    let temporary = temporary(&folder);
    fs::write(&temporary, json).map_err(|e| io_error("a view cannot be written", &temporary, e))?;
    publish(&temporary, &file)
}

fn read_views(root: &Path) -> Result<Vec<FeatureView>> {
    let mut views = Vec::new();
    for folder in list(root)?.into_iter().filter(|path| path.is_dir()) {
        match read_view(&folder.join(DEFINITION)) {
            Ok(view) => views.push(view),
            // A folder that is no view's, or whose definition a crash kept from being published.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    views.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(views)
}

fn read_view(file: &Path) -> Result<FeatureView> {
    let bytes = fs::read(file).map_err(|e| io_error("a view cannot be read", file, e))?;
    serde_json::from_slice(&bytes).map_err(|source| {
        Error::corrupt("a file is no definition of a view").with("file", file.display()).with_source(source)
    })
}

fn append(root: &Path, view: &FeatureView, rows: &RecordBatch) -> Result<()> {
    let folder = root.join(view.name().as_str());
    check_applied(&folder, view)?;
    let rows = view.conform(rows)?;
    let temporary = temporary(&folder);
    let written = write_rows(&temporary, view, &rows).and_then(|()| {
        // The number is taken and published under the lock, so that numbers are in order of arrival.
        let _lock = lock(root)?;
        let next = row_numbers(&folder)?.last().unwrap_or(&0).checked_add(1);
        let next = next.ok_or_else(|| Error::resource_exhausted("no numbers are left").with("view", view.name()))?;
        publish(&temporary, &row_file(&folder, next))
    });
    if written.is_err() {
        // The error that matters is the first; what is left here is never read.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_rows(file: &Path, view: &FeatureView, rows: &RecordBatch) -> Result<()> {
    let failed = |source| Error::unavailable("rows cannot be written").with("file", file.display()).with_source(source);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(vec![KeyValue::new(VIEW_KEY.into(), view.name().to_string())]))
        .build();
    let created = File::create_new(file).map_err(|e| io_error("rows cannot be written", file, e))?;
    let mut writer = ArrowWriter::try_new(created, rows.schema(), Some(properties)).map_err(failed)?;
    writer.write(rows).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(())
}

/// Makes a finished file visible under its name, for good.
fn publish(temporary: &Path, file: &Path) -> Result<()> {
    let failed = |e| io_error("a file cannot be published", file, e);
    File::open(temporary).and_then(|written| written.sync_all()).map_err(failed)?;
    fs::rename(temporary, file).map_err(failed)?;
    sync_folder(file.parent().expect("files are in folders"))
}

/// Makes the names in a folder outlive a crash of the machine.
fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere folders cannot be opened, and names are kept without it.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|open| open.sync_all())
            .map_err(|e| io_error("a folder cannot be synced", folder, e))?;
    }
    Ok(())
}

/// Waits until no other thread or process publishes; over when the file is dropped, also by a crash.
fn lock(root: &Path) -> Result<File> {
    let path = root.join(".lock");
    let open = || {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|e| io_error("the lock cannot be taken", &path, e))
}

/// Cleans up if nobody else has the folder open, and keeps others from it as long as the file is open.
fn enter(root: &Path) -> Result<Option<File>> {
    let path = root.join(".in-use");
    let open = || -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        if file.try_lock().is_ok() {
            remove_leftovers(root)?;
            file.unlock()?;
        }
        file.lock_shared()?;
        Ok(file)
    };
    match open() {
        Ok(file) => Ok(Some(file)),
        // Who may not write has no files to protect.
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => Ok(None),
        Err(e) => Err(io_error("the folder cannot be entered", &path, e)),
    }
}

/// Removes the files that writers did not live to publish, in the folders of views.
fn remove_leftovers(root: &Path) -> io::Result<()> {
    for folder in fs::read_dir(root)? {
        // A folder that may not be listed is none of ours, or has none of them.
        for file in fs::read_dir(folder?.path()).into_iter().flatten() {
            let file = file?.path();
            if is_temporary(&file) {
                fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}

/// A name that no scan reads and no other writer uses.
fn temporary(folder: &Path) -> PathBuf {
    folder.join(format!(".{}.tmp", uuid::Uuid::now_v7().simple()))
}

fn is_temporary(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    let id = name.and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp"));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Checks that the definition applied is the caller's or a successor of it.
fn check_applied(folder: &Path, view: &FeatureView) -> Result<()> {
    match read_view(&folder.join(DEFINITION)) {
        Ok(applied) => view.check_successor(&applied),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown_view(view.name())),
        Err(error) => Err(error),
    }
}

/// The files with rows, in order of arrival. They are numbered without gaps, so one that is missing shows.
fn all_row_files(folder: &Path) -> Result<VecDeque<PathBuf>> {
    let listed = row_numbers(folder)?;
    let find = |number: u64| {
        let file = row_file(folder, number);
        // A listing may pass over a file that is published meanwhile, and bring the one after it.
        if listed.binary_search(&number).is_ok() || file.exists() { Ok(file) } else { Err(missing(&file)) }
    };
    (1..=listed.last().copied().unwrap_or(0)).map(find).collect()
}

/// The numbers of the files with rows, in order.
fn row_numbers(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = list(folder)?.iter().filter_map(|file| number(file)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn row_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.{EXTENSION}"))
}

fn number(file: &Path) -> Option<u64> {
    let stem = file.file_stem()?.to_str()?;
    let is_ours = file.extension()? == EXTENSION && stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| stem.parse().ok()).flatten()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|e| io_error("a folder cannot be listed", folder, e))
}

fn io_error(message: &str, path: &Path, source: io::Error) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull => ErrorKind::ResourceExhausted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, message).with("file", path.display()).with_source(source)
}

/// A scan under way.
struct Reader {
    view: FeatureView,
    scan: Scan,
    files: VecDeque<PathBuf>,
    open: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl Reader {
    /// The next rows asked for, of whichever file has some.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((file, rows)) = &mut self.open {
                match guarded(file, || rows.next().transpose().map_err(|source| unreadable(file, source)))? {
                    Some(rows) => {
                        let rows = self.scan.select(&self.view, &rows);
                        let rows = rows.map_err(|error| error.with("file", file.display()))?;
                        if rows.num_rows() > 0 {
                            return Ok(Some(rows));
                        }
                    }
                    None => self.open = None,
                }
            } else if let Some(file) = self.files.pop_front() {
                let rows = guarded(&file, || self.open(&file))?;
                self.open = Some((file, rows));
            } else {
                return Ok(None);
            }
        }
    }

    fn open(&self, file: &Path) -> Result<ParquetRecordBatchReader> {
        let opened = File::open(file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => missing(file),
            _ => io_error("a file of rows cannot be read", file, source),
        })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|source| unreadable(file, source))?;
        self.check_columns(&builder).map_err(|error| error.with("file", file.display()))?;

        let wanted = self.scan.columns(&self.view)?;
        let wanted: Vec<_> = wanted.iter().map(|&at| self.view.schema().field(at).name().as_str()).collect();
        let present = builder.schema().fields().iter().enumerate();
        let places = present.filter(|(_, field)| wanted.contains(&field.name().as_str())).map(|(at, _)| at);
        let mask = ProjectionMask::roots(builder.parquet_schema(), places);

        let mut leaves = builder.parquet_schema().columns().iter();
        let time = leaves.position(|leaf| leaf.path().parts() == [self.view.event_time()]).expect("checked above");
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| may_hold(group, time, &self.scan)).map(|(at, _)| at).collect();
        let builder = builder.with_batch_size(BATCH_ROWS).with_row_groups(groups).with_projection(mask);
        builder.build().map_err(|source| unreadable(file, source))
    }

    /// Refuses a file that was not written for the view.
    fn check_columns(&self, file: &ParquetRecordBatchReaderBuilder<File>) -> Result<()> {
        let foreign = |what: &str| Error::corrupt(what).with("view", self.view.name());
        let entries = file.metadata().file_metadata().key_value_metadata().into_iter().flatten();
        let mut views = entries.filter(|entry| entry.key == VIEW_KEY).filter_map(|entry| entry.value.as_deref());
        if views.next() != Some(self.view.name().as_str()) {
            return Err(foreign("a file was not written for its view"));
        }
        for field in self.view.schema().fields() {
            match file.schema().field_with_name(field.name()) {
                Ok(found) if found.data_type() == field.data_type() => {}
                Ok(found) => {
                    return Err(foreign("a column of a file has another type than the view's")
                        .with("column", field.name())
                        .with("expected", field.data_type())
                        .with("got", found.data_type()));
                }
                // Files from before a feature was added lack it.
                Err(_) if field.is_nullable() => {}
                Err(_) => return Err(foreign("a column of a file is missing").with("column", field.name())),
            }
        }
        Ok(())
    }
}

/// Whether a row group may hold rows of the event times asked for; yes where its statistics say nothing.
fn may_hold(group: &RowGroupMetaData, time: usize, scan: &Scan) -> bool {
    match group.column(time).statistics() {
        Some(Statistics::Int64(times)) => match (times.min_opt(), times.max_opt()) {
            (Some(&first), Some(&last)) => {
                let (first, last) = (EventTime::from_micros(first), EventTime::from_micros(last));
                last >= scan.during.start && (first < scan.during.end || scan.covers(first))
            }
            _ => true,
        },
        _ => true,
    }
}

/// Reads what may be damaged. The reader is not proof against every damaged page; a panic there is the file's fault.
fn guarded<T>(file: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Error::corrupt("a file is damaged").with("file", file.display())))
}

fn missing(file: &Path) -> Error {
    Error::corrupt("a file of rows is missing").with("file", file.display())
}

fn unreadable(file: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::corrupt("a file is truncated, damaged or no Parquet").with("file", file.display()).with_source(source)
}
