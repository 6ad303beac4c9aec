//! What is asked of a feature store.

use ml_core::{Table, id::FeatureRef};

/// Asks for the features of many entities, each as they were known at a time of its own: how training data is made.
///
/// The spine is the rows to complete. It holds the key columns of every entity involved, a column of label times (Arrow
/// timestamp with a zone), and whatever else should come along, such as the label.
///
/// ```
/// use ml_core::{Table, arrow::array::{RecordBatch, StringArray, TimestampSecondArray}};
/// use ml_features::HistoricalRequest;
/// use std::sync::Arc;
///
/// let spine = RecordBatch::try_from_iter([
///     ("origin", Arc::new(StringArray::from(vec!["JFK"])) as _),
///     ("departure", Arc::new(TimestampSecondArray::from(vec![1_357_034_400]).with_timezone("UTC")) as _),
/// ]).unwrap();
/// let request = HistoricalRequest::new(Table::from(spine), "departure").with_feature("weather:wind_speed".parse()?);
/// assert_eq!(request.features.len(), 1);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct HistoricalRequest {
    /// The rows to complete.
    pub spine: Table,
    /// The column of the spine that tells as of when each row's features are wanted.
    pub label_time: String,
    /// The features wanted, in the order of the new columns.
    pub features: Vec<FeatureRef>,
}

impl HistoricalRequest {
    /// Asks for no features yet.
    #[must_use]
    pub fn new(spine: Table, label_time: impl Into<String>) -> Self {
        Self { spine, label_time: label_time.into(), features: Vec::new() }
    }

    /// Asks for one more feature.
    #[must_use]
    pub fn with_feature(mut self, feature: FeatureRef) -> Self {
        self.features.push(feature);
        self
    }

    /// Asks for more features.
    #[must_use]
    pub fn with_features(mut self, features: impl IntoIterator<Item = FeatureRef>) -> Self {
        self.features.extend(features);
        self
    }
}
