use ml_core::{
    Bundle, Compute, InferenceRuntime, Result,
    id::{ModelName, Version},
};
use ml_features::FeatureStore;
use ml_registry::{ArtifactStore, ExperimentTracker, NewVersion, Registry, RegistrySource};
use ml_serve::{ModelServer, server::ModelServerBuilder};
use std::sync::Arc;

/// The parts of a platform, each a value that can be another one.
///
/// [`Platform::open`] puts together the parts that need nothing but a folder. To scale one part out, put another
/// implementation in its place and leave the rest:
///
/// ```
/// use ml_platform::{Platform, registry::{GatedRegistry, MemoryRegistry}};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_platform::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let platform = Platform::open(folder).await?;
/// let platform = Platform { registry: Arc::new(MemoryRegistry::default()), ..platform };
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Platform {
    /// Features, for training and serving.
    pub features: Arc<dyn FeatureStore>,
    /// Versions of models and their aliases.
    pub registry: Arc<dyn Registry>,
    /// Runs with their parameters and metrics.
    pub tracker: Arc<dyn ExperimentTracker>,
    /// The files of the versions.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// What runs models, in order of preference.
    pub runtimes: Vec<Arc<dyn InferenceRuntime>>,
    /// The threads for CPU work.
    pub compute: Compute,
}

impl Platform {
    /// Opens a platform in a folder, made if it is not there: features in Parquet files and memory, registry and runs in
    /// SQLite, artifacts in files, models on the native runtime, CPU work on as many threads as the machine has.
    ///
    /// Several processes may open one folder. Rows of online features belong to one process and end with it:
    /// [`materialize`](FeatureStore::materialize) brings them back from the files.
    ///
    /// # Errors
    /// [`Unavailable`](ml_core::ErrorKind::Unavailable) when the folder cannot be read or written,
    /// [`Corrupt`](ml_core::ErrorKind::Corrupt) when what is there is damaged.
    #[cfg(all(feature = "parquet", feature = "sqlite"))]
    pub async fn open(folder: impl AsRef<std::path::Path>) -> Result<Self> {
        use ml_core::runtime::native::NativeRuntime;
        use ml_features::{PairedStore, offline::parquet::ParquetOfflineStore, online::memory::MemoryOnlineStore};
        use ml_registry::{LocalArtifactStore, SqliteDatabase, SqliteOptions, SqliteRegistry, SqliteTracker};

        let folder = folder.as_ref();
        let compute = Compute::new(std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN))?;
        let offline = ParquetOfflineStore::open(folder.join("features"), compute.clone()).await?;
        let database = SqliteDatabase::open(SqliteOptions::new(folder.join("registry.sqlite"))).await?;
        Ok(Self {
            features: Arc::new(PairedStore::new(offline, MemoryOnlineStore::new(), compute.clone())),
            registry: Arc::new(SqliteRegistry::new(database.clone())),
            tracker: Arc::new(SqliteTracker::new(database)),
            artifacts: Arc::new(LocalArtifactStore::open(folder.join("artifacts")).await?),
            runtimes: vec![Arc::new(NativeRuntime)],
            compute,
        })
    }

    /// Stores a bundle and registers it as the next version of a model. A crash leaves the version whole or absent.
    ///
    /// # Errors
    /// As [`ml_registry::publish`].
    pub async fn publish(&self, name: &ModelName, bundle: &Bundle, new: NewVersion) -> Result<Version> {
        ml_registry::publish(&self.registry, &self.artifacts, name, bundle, new).await
    }

    /// The models of the registry, as a server asks for them.
    #[must_use]
    pub fn models(&self) -> RegistrySource {
        RegistrySource::new(self.registry.clone(), self.artifacts.clone())
    }

    /// Starts to put together a server of the models of the registry, on the runtimes and threads of the platform.
    pub fn server(&self) -> ModelServerBuilder {
        let builder = ModelServer::builder(Arc::new(self.models()), self.compute.clone());
        self.runtimes.iter().cloned().fold(builder, ModelServerBuilder::runtime)
    }
}
