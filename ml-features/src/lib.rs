//! Feature store of ml-platform: features defined once, the same for training and serving.
//!
//! An [`Entity`] is what features are about, a [`FeatureView`] a group of its features. An [`OfflineStore`] keeps all rows of a
//! view for training, an [`OnlineStore`] the latest row of each entity for serving, and a [`FeatureStore`] is both behind
//! one trait; [`PairedStore`] makes one of any two.
//!
//! Training data is made by the [`PointInTimeJoin`]: each label sees what had happened and was known at its own time, never
//! more. What comes in from outside is read by [`ingest`] and checked by [`validate`].

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod entity;
pub mod ingest;
pub mod offline;
pub mod online;
pub mod pit;
pub mod request;
pub mod row;
mod schema;
pub mod store;
pub mod validate;
pub mod view;

pub use entity::Entity;
pub use offline::OfflineStore;
pub use online::OnlineStore;
pub use pit::PointInTimeJoin;
pub use request::HistoricalRequest;
pub use row::{EntityKey, FeatureRow};
pub use store::{FeatureStore, FeatureStoreExt, MaterializeReport, paired::PairedStore};
pub use validate::{Expectations, ValidationReport};
pub use view::FeatureView;
