use super::Interval;
use ml_core::report::number;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A share, difference or ratio from 0 to 1 with its confidence interval, or the reason why there is none.
///
/// In JSON always the same four fields: `value`, `low`, `high` and `undefined`, of which either the first three or the
/// last are null.
///
/// ```
/// use ml_govern::bias::Measure;
///
/// let undefined = Measure::Undefined { reason: "no row has a positive label".into() };
/// let json = serde_json::to_string(&undefined).unwrap();
/// assert_eq!(json, r#"{"value":null,"low":null,"high":null,"undefined":"no row has a positive label"}"#);
/// assert_eq!(serde_json::from_str::<Measure>(&json).unwrap(), undefined);
/// assert!(serde_json::from_str::<Measure>(r#"{"value":1.5,"low":0,"high":2,"undefined":null}"#).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Form", try_from = "Form")]
pub enum Measure {
    /// There is a value.
    Defined {
        /// The point estimate.
        value: f64,
        /// The confidence interval, at the level of the report.
        interval: Interval,
    },
    /// There is none.
    Undefined {
        /// Why, in words.
        reason: String,
    },
}

impl Measure {
    /// The point estimate, if there is one.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Defined { value, .. } => Some(*value),
            Self::Undefined { .. } => None,
        }
    }

    /// The confidence interval, if there is one.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        match self {
            Self::Defined { interval, .. } => Some(*interval),
            Self::Undefined { .. } => None,
        }
    }

    /// Why there is no value.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Defined { .. } => None,
            Self::Undefined { reason } => Some(reason),
        }
    }

    pub(super) fn undefined(reason: impl Into<String>) -> Self {
        Self::Undefined { reason: reason.into() }
    }
}

impl fmt::Display for Measure {
    /// Prints `0.500 [0.297, 0.652]`, or `undefined`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defined { value, interval } => f.pad(&format!(
                "{} [{}, {}]",
                number::fixed(*value, 3),
                number::fixed(interval.low, 3),
                number::fixed(interval.high, 3)
            )),
            Self::Undefined { .. } => f.pad(number::UNDEFINED),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    undefined: Option<String>,
}

impl From<Measure> for Form {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Defined { value, interval } => {
                Self { value: Some(value), low: Some(interval.low), high: Some(interval.high), undefined: None }
            }
            Measure::Undefined { reason } => Self { value: None, low: None, high: None, undefined: Some(reason) },
        }
    }
}

impl TryFrom<Form> for Measure {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        match form {
            Form { value: Some(value), low: Some(low), high: Some(high), undefined: None } => {
                if !(0.0..=1.0).contains(&value) || low > high {
                    return Err("a measure outside 0 to 1, or an interval upside down");
                }
                Ok(Self::Defined { value, interval: Interval { low, high } })
            }
            Form { value: None, low: None, high: None, undefined: Some(reason) } => Ok(Self::Undefined { reason }),
            _ => Err("a measure has value, low and high, or the reason why it is undefined"),
        }
    }
}
