//! The model registry of ml-platform, with experiment tracking and artifacts.
//!
//! | trait | keeps | backends |
//! |---|---|---|
//! | [`Registry`] | versions of models, aliases, and every move of an alias | [`MemoryRegistry`], `SqliteRegistry` |
//! | [`ExperimentTracker`] | runs with their parameters, metrics and tags | [`MemoryTracker`], `SqliteTracker` |
//! | [`ArtifactStore`] | bytes under their SHA-256 | [`MemoryArtifactStore`], [`LocalArtifactStore`] |
//!
//! [`publish`] puts a bundle into a store and a registry so that a crash leaves the version whole or absent;
//! [`RegistrySource`] gives it to a server; [`GatedRegistry`] lets an alias move only where a gate agrees.

pub mod alias;
pub mod artifact;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod gate;
pub mod limit;
mod publish;
pub mod registry;
pub mod run;
mod source;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod tracker;
pub mod version;

pub use alias::{AliasChange, AliasMove};
pub use artifact::{ArtifactStore, ArtifactStoreExt, local::LocalArtifactStore, memory::MemoryArtifactStore};
pub use gate::{GatedRegistry, Promotion};
pub use publish::publish;
pub use registry::{Registry, memory::MemoryRegistry};
pub use run::{MetricPoint, NewRun, Point, RunOutcome, RunRecord};
pub use source::RegistrySource;
pub use tracker::{ExperimentTracker, memory::MemoryTracker};
pub use version::{ModelRecord, NewVersion};

#[cfg(feature = "sqlite")]
pub use {
    registry::sqlite::SqliteRegistry,
    sqlite::{SqliteDatabase, SqliteOptions},
    tracker::sqlite::SqliteTracker,
};
