//! How good a model is, against labels or against the original.

use super::predictions::Predictions;
use crate::{
    Error, Result,
    metric::{classification, regression},
    table,
};
use arrow::{
    array::{Array, AsArray},
    compute,
    datatypes::{DataType, Float64Type},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Something that a changed model is compared with the original in.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The share of rows whose class is that of the label.
    Accuracy,
    /// The area under the receiver operating characteristic, for labels of two classes.
    RocAuc,
    /// The root of the mean squared error, in the unit of the label.
    Rmse,
    /// The mean absolute error, in the unit of the label.
    Mae,
    /// The share of the label's variance that is explained.
    R2,
    /// The share of rows whose class is that of the original model; no labels are needed.
    Agreement,
    /// The cosine between an output and that of the original model over all rows, the smallest of all outputs of floats;
    /// no labels are needed.
    Cosine,
    /// The largest difference between a number of an output and that of the original model; no labels are needed.
    MaxDifference,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 8] = [
        Self::Accuracy,
        Self::RocAuc,
        Self::Rmse,
        Self::Mae,
        Self::R2,
        Self::Agreement,
        Self::Cosine,
        Self::MaxDifference,
    ];

    /// The name in reports, such as `roc_auc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::RocAuc => "roc_auc",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
            Self::R2 => "r2",
            Self::Agreement => "agreement",
            Self::Cosine => "cosine",
            Self::MaxDifference => "max_difference",
        }
    }

    /// Whether it is measured against labels rather than against the original model.
    #[must_use]
    pub const fn needs_labels(self) -> bool {
        matches!(self, Self::Accuracy | Self::RocAuc | Self::Rmse | Self::Mae | Self::R2)
    }

    /// How much worse `after` is than `before`; negative when it is better.
    #[must_use]
    pub fn loss(self, before: f64, after: f64) -> f64 {
        match self {
            Self::Rmse | Self::Mae | Self::MaxDifference => after - before,
            Self::Accuracy | Self::RocAuc | Self::R2 | Self::Agreement | Self::Cosine => before - after,
        }
    }

    /// The value of these predictions; none when right input leaves it undefined, or the outputs are of no such kind.
    pub(super) fn of(self, got: &Predictions, original: &Predictions, labels: Option<&Labels>) -> Result<Option<f64>> {
        Ok(match (self, labels) {
            (Self::Accuracy, Some(Labels::Classes(labels))) => match got.classes() {
                Some(classes) => Some(classification::accuracy(labels, &classes, None)?),
                None => None,
            },
            (Self::RocAuc, Some(Labels::Classes(labels))) => match (positives(labels), got.positive_scores()) {
                (Some(positives), Some(scores)) if scores.iter().all(|score| score.is_finite()) => {
                    classification::roc_auc(&positives, &scores, None)?
                }
                _ => None,
            },
            (Self::Rmse | Self::Mae | Self::R2, Some(Labels::Numbers(labels))) => match got.numbers() {
                Some(numbers) if numbers.iter().all(|number| number.is_finite()) => match self {
                    Self::Rmse => Some(regression::rmse(labels, numbers, None)?),
                    Self::Mae => Some(regression::mae(labels, numbers, None)?),
                    _ => regression::r2(labels, numbers, None)?,
                },
                _ => None,
            },
            (Self::Agreement, _) => match (original.classes(), got.classes()) {
                (Some(expected), Some(classes)) => Some(classification::accuracy(&expected, &classes, None)?),
                _ => None,
            },
            (Self::Cosine, _) => got.cosine(original),
            (Self::MaxDifference, _) => got.max_difference(original),
            _ => None,
        })
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Measure {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|measure| measure.name() == text)
            .ok_or_else(|| Error::invalid_input("no such measure").with("measure", text.escape_debug()))
    }
}

/// What is true of the rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// Classes under the names that the model prints them by: whole numbers in decimal, text as it is.
    Classes(Vec<String>),
    /// Numbers, for regression.
    Numbers(Vec<f64>),
}

impl Labels {
    /// Takes a column for classes: text, booleans (as 0 and 1) or whole numbers, also in a column of floats.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a null, and for a number that is not whole.
    pub fn classes(column: &dyn Array) -> Result<Self> {
        complete(column)?;
        let classes = match column.data_type() {
            DataType::Boolean => {
                column.as_boolean().iter().map(|value| u8::from(value == Some(true)).to_string()).collect()
            }
            kind if kind.is_floating() => {
                let values = compute::cast(column, &DataType::Float64).map_err(table::arrow_error)?;
                let values = values.as_primitive::<Float64Type>().values();
                if let Some(value) = values.iter().find(|value| value.fract() != 0.0) {
                    return Err(Error::invalid_input("a class is no whole number").with("label", value));
                }
                values.iter().map(|value| format!("{value:.0}")).collect()
            }
            _ => table::strings(column)?.iter().map(|class| class.unwrap_or_default().to_owned()).collect(),
        };
        Ok(Self::Classes(classes))
    }

    /// Takes a column for numbers.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a null, and for a column that holds no numbers.
    pub fn numbers(column: &dyn Array) -> Result<Self> {
        complete(column)?;
        Ok(Self::Numbers(table::floats(column)?.values().to_vec()))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn complete(column: &dyn Array) -> Result<()> {
    match column.null_count() {
        0 => Ok(()),
        nulls => Err(Error::invalid_input("a label is missing").with("nulls", nulls)),
    }
}

/// Which rows are of the greater of two classes; none for another number of classes.
fn positives(labels: &[String]) -> Option<Vec<bool>> {
    let mut classes: Vec<&String> = labels.iter().collect();
    classes.sort_unstable();
    classes.dedup();
    let [_, positive] = classes[..] else { return None };
    Some(labels.iter().map(|label| label == positive).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};

    #[test]
    fn classes_have_the_names_that_models_print() {
        let names = |column: &dyn Array| Labels::classes(column).expect("classes");
        let two = Labels::Classes(vec!["1".into(), "0".into()]);
        assert_eq!(names(&BooleanArray::from(vec![true, false])), two);
        assert_eq!(names(&Int64Array::from(vec![1, 0])), two);
        assert_eq!(names(&Float64Array::from(vec![1.0, 0.0])), two);
        assert_eq!(names(&StringArray::from(vec!["1", "0"])), two);
        assert!(Labels::classes(&Float64Array::from(vec![0.5])).is_err());
        assert!(Labels::classes(&Int64Array::from(vec![None, Some(1)])).is_err());
        assert!(Labels::numbers(&Float64Array::from(vec![None, Some(1.0)])).is_err());
    }

    #[test]
    fn a_loss_is_positive_when_the_model_is_worse() {
        assert!(Measure::Accuracy.loss(0.9, 0.8) > 0.0);
        assert!(Measure::Rmse.loss(1.0, 1.5) > 0.0);
        assert!(Measure::Rmse.loss(1.0, 0.5) < 0.0);
    }

    #[test]
    fn measures_parse_under_their_names() {
        for measure in Measure::ALL {
            assert_eq!(measure.name().parse::<Measure>().expect("own name"), measure);
        }
        assert!("f7".parse::<Measure>().is_err());
    }
}
