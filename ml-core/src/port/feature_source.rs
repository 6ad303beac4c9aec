use crate::{Result, id::FeatureRef};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// Where a server gets the features of an entity when a request carries keys only.
///
/// ```
/// use ml_core::{Result, arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray}, id::FeatureRef, port::FeatureSource};
/// use std::sync::Arc;
///
/// /// Tells whether an airport has snow, without a store.
/// #[derive(Debug)]
/// struct Snow;
///
/// #[async_trait::async_trait]
/// impl FeatureSource for Snow {
///     async fn lookup(&self, _features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch> {
///         let none = Arc::new(Float64Array::from(vec![0.0; keys.num_rows()])) as ArrayRef;
///         RecordBatch::try_from_iter([("snow:depth", none)]).map_err(ml_core::table::arrow_error)
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let keys = RecordBatch::try_from_iter([("origin", Arc::new(StringArray::from(vec!["JFK", "LGA"])) as ArrayRef)]).unwrap();
/// assert_eq!(Snow.lookup(&["snow:depth".parse()?], &keys).await?.num_rows(), 2);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait FeatureSource: fmt::Debug + Send + Sync + 'static {
    /// Brings the latest values: one row a key, in order, one column a feature named `view:feature`; null where nothing is known.
    ///
    /// `keys` holds the key columns of the entities, under the names of the entities' keys.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for an unknown view or feature,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for keys of another type than the entity's.
    async fn lookup(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch>;
}

#[async_trait]
impl<S: FeatureSource + ?Sized> FeatureSource for Arc<S> {
    async fn lookup(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch> {
        (**self).lookup(features, keys).await
    }
}
