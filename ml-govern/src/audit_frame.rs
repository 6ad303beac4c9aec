//! What an audit looks at: decisions, true labels, weights and sensitive attributes, row by row.

use ml_core::{
    Error, Result, Table,
    arrow::array::{Array, Float64Array},
};
use std::collections::{BTreeMap, HashMap};

/// The group of rows whose sensitive value is not known.
///
/// They are a group of their own: leaving them out would let a model be unfair to exactly those who do not say.
pub const MISSING: &str = "(missing)";

/// Rows to be audited: a binary decision each, and one or more sensitive attributes as text.
///
/// Built from values with [`AuditFrame::from_decisions`] or [`AuditFrame::from_scores`], or from Arrow with
/// [`AuditFrame::from_table`]. Every part is checked when it is added, so a frame that exists is whole.
///
/// ```
/// use ml_govern::AuditFrame;
///
/// let frame = AuditFrame::from_scores(&[0.9, 0.2, 0.7], 0.5)?
///     .with_labels([Some(true), Some(false), None])?
///     .with_sensitive("sex", [Some("F"), Some("M"), None])?;
/// assert_eq!(frame.groups("sex").unwrap(), ["(missing)", "F", "M"]);
///
/// let error = AuditFrame::from_scores(&[0.9, 1.2], 0.5).unwrap_err();
/// assert_eq!(error.to_string(), "a score is not a probability (row: 1, score: 1.2)");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AuditFrame {
    decisions: Vec<bool>,
    labels: Option<Vec<Option<bool>>>,
    weights: Option<Vec<f64>>,
    sensitive: Vec<Sensitive>,
}

/// One attribute: the names of its groups in rising order, and the group of every row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sensitive {
    pub(crate) attribute: String,
    pub(crate) groups: Vec<String>,
    pub(crate) codes: Vec<usize>,
}

impl AuditFrame {
    /// Keeps decisions: whether each row was selected.
    #[must_use]
    pub fn from_decisions(decisions: impl IntoIterator<Item = bool>) -> Self {
        Self { decisions: decisions.into_iter().collect(), labels: None, weights: None, sensitive: Vec::new() }
    }

    /// Decides from probabilities: a row is selected when its score is at least the threshold.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a score or the threshold is not a number from 0 to 1.
    pub fn from_scores(scores: &[f64], threshold: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::invalid_input("the threshold is not a probability").with("threshold", threshold));
        }
        if let Some((row, score)) = scores.iter().enumerate().find(|(_, score)| !(0.0..=1.0).contains(*score)) {
            return Err(Error::invalid_input("a score is not a probability").with("row", row).with("score", score));
        }
        Ok(Self::from_decisions(scores.iter().map(|score| *score >= threshold)))
    }

    /// Reads columns of a table.
    ///
    /// Decisions and labels may be booleans or the numbers 0 and 1. A null label is a label not known yet, a null
    /// sensitive value belongs to the group [`MISSING`]; no other null is accepted.
    ///
    /// ```
    /// use ml_core::{Table, arrow::array::{BooleanArray, Float64Array, RecordBatch, StringArray}};
    /// use ml_govern::{AuditColumns, AuditFrame};
    /// use std::sync::Arc;
    ///
    /// let batch = RecordBatch::try_from_iter([
    ///     ("score", Arc::new(Float64Array::from(vec![0.9, 0.2])) as _),
    ///     ("late", Arc::new(BooleanArray::from(vec![Some(true), None])) as _),
    ///     ("carrier", Arc::new(StringArray::from(vec!["UA", "B6"])) as _),
    /// ]).unwrap();
    /// let columns = AuditColumns::score("score", 0.5).with_label("late").with_sensitive("carrier");
    /// assert_eq!(AuditFrame::from_table(&Table::from(batch), &columns)?.rows(), 2);
    /// # Ok::<(), ml_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput), naming the column, when it is not there or holds something else.
    pub fn from_table(table: &Table, columns: &AuditColumns) -> Result<Self> {
        let mut frame = match &columns.predicted {
            Predicted::Decision(name) => {
                let decisions = binary(&table.floats(name)?).and_then(|values| {
                    let known = values.into_iter().enumerate().map(|(row, value)| value.ok_or_else(|| null_at(row)));
                    known.collect::<Result<Vec<_>>>()
                });
                Self::from_decisions(decisions.map_err(|error| error.with("column", name))?)
            }
            Predicted::Score(name, threshold) => {
                let scores = table.floats(name)?;
                if let Some(row) = (0..scores.len()).find(|&row| scores.is_null(row)) {
                    return Err(null_at(row).with("column", name));
                }
                Self::from_scores(scores.values(), *threshold).map_err(|error| error.with("column", name))?
            }
        };
        if let Some(name) = &columns.label {
            let labels = binary(&table.floats(name)?).map_err(|error| error.with("column", name))?;
            frame = frame.with_labels(labels)?;
        }
        if let Some(name) = &columns.weight {
            let weights = table.floats(name)?;
            if let Some(row) = (0..weights.len()).find(|&row| weights.is_null(row)) {
                return Err(null_at(row).with("column", name));
            }
            frame = frame.with_weights(weights.values()).map_err(|error| error.with("column", name))?;
        }
        for name in &columns.sensitive {
            frame = frame.with_sensitive(name, &table.strings(name)?)?;
        }
        Ok(frame)
    }

    /// Adds the true labels; `None` where the truth is not known yet.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when there are more or fewer than rows.
    pub fn with_labels(mut self, labels: impl IntoIterator<Item = Option<bool>>) -> Result<Self> {
        let labels: Vec<_> = labels.into_iter().collect();
        self.check_length("labels", labels.len())?;
        self.labels = Some(labels);
        Ok(self)
    }

    /// Adds weights: a row of weight 2 counts as the row twice, a row of weight 0 counts not at all.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a weight is negative, NaN or infinite, when they sum to
    /// more than 2⁵³, or when there are more or fewer than rows.
    pub fn with_weights(mut self, weights: &[f64]) -> Result<Self> {
        self.check_length("weights", weights.len())?;
        if let Some((row, weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            return Err(Error::invalid_input("a weight is not a number of zero or more")
                .with("row", row)
                .with("weight", weight));
        }
        // Beyond this, adding a row no longer changes a count.
        if weights.iter().sum::<f64>() > 9_007_199_254_740_992.0 {
            return Err(Error::invalid_input("the weights sum to more than 2^53"));
        }
        self.weights = Some(weights.to_vec());
        Ok(self)
    }

    /// Adds a sensitive attribute; `None` belongs to the group [`MISSING`], as does that text itself.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when there are more or fewer values than rows, or the
    /// attribute is there already.
    pub fn with_sensitive<T: AsRef<str>>(
        mut self,
        attribute: &str,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Result<Self> {
        if self.sensitive(attribute).is_some() {
            return Err(Error::invalid_input("the frame has this attribute already").with("attribute", attribute));
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut codes = Vec::with_capacity(self.rows());
        for value in values {
            let group = value.as_ref().map_or(MISSING, |value| value.as_ref());
            codes.push(match seen.get(group) {
                Some(&code) => code,
                None => {
                    let code = seen.len();
                    seen.insert(group.to_owned(), code);
                    code
                }
            });
        }
        self.check_length(attribute, codes.len())?;
        // Groups in rising order, so that no report depends on the order of rows.
        let sorted: BTreeMap<String, usize> = seen.into_iter().collect();
        let mut rank = vec![0; sorted.len()];
        for (at, code) in sorted.values().enumerate() {
            rank[*code] = at;
        }
        for code in &mut codes {
            *code = rank[*code];
        }
        self.sensitive.push(Sensitive { attribute: attribute.to_owned(), groups: sorted.into_keys().collect(), codes });
        Ok(self)
    }

    /// Adds the intersection of attributes as one more, such as `sex × race` with groups like `F × Black`: a model can be
    /// fair to each attribute alone and not to their intersection.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when an attribute is not there, or the intersection is already.
    pub fn with_intersection(self, attributes: &[&str]) -> Result<Self> {
        let columns = attributes
            .iter()
            .map(|&attribute| {
                self.sensitive(attribute)
                    .ok_or_else(|| Error::invalid_input("the frame has no such attribute").with("attribute", attribute))
            })
            .collect::<Result<Vec<_>>>()?;
        let values: Vec<_> = (0..self.rows())
            .map(|row| {
                let parts: Vec<_> = columns.iter().map(|column| column.groups[column.codes[row]].as_str()).collect();
                Some(parts.join(" × "))
            })
            .collect();
        self.with_sensitive(&attributes.join(" × "), values)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.decisions.len()
    }

    /// Whether each row was selected.
    #[must_use]
    pub fn decisions(&self) -> &[bool] {
        &self.decisions
    }

    /// The true label of each row, if labels were added.
    #[must_use]
    pub fn labels(&self) -> Option<&[Option<bool>]> {
        self.labels.as_deref()
    }

    /// The weight of each row, if weights were added.
    #[must_use]
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// The sensitive attributes, in the order in which they were added.
    #[must_use]
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.sensitive.iter().map(|sensitive| sensitive.attribute.as_str())
    }

    /// The groups of an attribute, in rising order.
    #[must_use]
    pub fn groups(&self, attribute: &str) -> Option<&[String]> {
        self.sensitive(attribute).map(|sensitive| sensitive.groups.as_slice())
    }

    /// For each row, the position of its group among [`AuditFrame::groups`].
    #[must_use]
    pub fn group_of_rows(&self, attribute: &str) -> Option<&[usize]> {
        self.sensitive(attribute).map(|sensitive| sensitive.codes.as_slice())
    }

    pub(crate) fn sensitives(&self) -> &[Sensitive] {
        &self.sensitive
    }

    fn sensitive(&self, attribute: &str) -> Option<&Sensitive> {
        self.sensitive.iter().find(|sensitive| sensitive.attribute == attribute)
    }

    fn check_length(&self, column: &str, length: usize) -> Result<()> {
        if length == self.rows() {
            return Ok(());
        }
        Err(Error::invalid_input("a column of another length")
            .with("column", column)
            .with("rows", self.rows())
            .with("length", length))
    }
}

/// Which columns of a table are what in an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditColumns {
    predicted: Predicted,
    label: Option<String>,
    weight: Option<String>,
    sensitive: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Predicted {
    Decision(String),
    Score(String, f64),
}

impl AuditColumns {
    /// Decisions, as booleans or 0 and 1.
    #[must_use]
    pub fn decision(column: impl Into<String>) -> Self {
        Self::new(Predicted::Decision(column.into()))
    }

    /// Probabilities; a row is selected when its score is at least the threshold.
    #[must_use]
    pub fn score(column: impl Into<String>, threshold: f64) -> Self {
        Self::new(Predicted::Score(column.into(), threshold))
    }

    /// The same with a column of true labels.
    #[must_use]
    pub fn with_label(mut self, column: impl Into<String>) -> Self {
        self.label = Some(column.into());
        self
    }

    /// The same with a column of weights.
    #[must_use]
    pub fn with_weight(mut self, column: impl Into<String>) -> Self {
        self.weight = Some(column.into());
        self
    }

    /// The same with one more sensitive attribute; values that are not text are printed.
    #[must_use]
    pub fn with_sensitive(mut self, column: impl Into<String>) -> Self {
        self.sensitive.push(column.into());
        self
    }

    fn new(predicted: Predicted) -> Self {
        Self { predicted, label: None, weight: None, sensitive: Vec::new() }
    }
}

fn binary(values: &Float64Array) -> Result<Vec<Option<bool>>> {
    let read = |(row, value): (usize, Option<f64>)| match value {
        None => Ok(None),
        Some(0.0) => Ok(Some(false)),
        Some(1.0) => Ok(Some(true)),
        Some(other) => Err(Error::invalid_input("neither 0 nor 1").with("row", row).with("value", other)),
    };
    values.iter().enumerate().map(read).collect()
}

fn null_at(row: usize) -> Error {
    Error::invalid_input("a value is null").with("row", row)
}
