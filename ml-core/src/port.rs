//! The ports: small traits through which the sibling crates meet without knowing each other.
//!
//! | port | implemented by | called by |
//! |---|---|---|
//! | [`ModelSource`] | ml-registry | ml-serve |
//! | [`FeatureSource`] | ml-features | ml-serve |
//! | [`PredictionSink`] | ml-monitor | ml-serve |
//! | [`PromotionGate`] | ml-govern | ml-registry |
//! | [`RequestGuard`] | ml-govern | ml-serve |

mod feature_source;
mod model_source;
mod prediction_sink;
mod promotion_gate;
mod request_guard;

pub use feature_source::FeatureSource;
pub use model_source::ModelSource;
pub use prediction_sink::{PredictionSink, RequestMeta};
pub use promotion_gate::{Candidate, PromotionGate};
pub use request_guard::RequestGuard;

use serde::{Deserialize, Serialize};

/// What a gate or guard says. A refusal is a finding, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reasons", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Allow,
    /// It may go on, and these reasons are to be recorded.
    Flag(Vec<String>),
    /// It may not go on, for these reasons.
    Refuse(Vec<String>),
}

impl Verdict {
    /// Whether it may go on.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Self::Refuse(_))
    }

    /// Why, if there is anything to say.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        match self {
            Self::Allow => &[],
            Self::Flag(reasons) | Self::Refuse(reasons) => reasons,
        }
    }

    /// Both verdicts in one: the stricter wins, and its reasons stay in order.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refuse(mut a), Self::Refuse(b)) => {
                a.extend(b);
                Self::Refuse(a)
            }
            (Self::Flag(mut a), Self::Flag(b)) => {
                a.extend(b);
                Self::Flag(a)
            }
            (refusal @ Self::Refuse(_), _) | (_, refusal @ Self::Refuse(_)) => refusal,
            (flag @ Self::Flag(_), Self::Allow) | (Self::Allow, flag @ Self::Flag(_)) => flag,
            (Self::Allow, Self::Allow) => Self::Allow,
        }
    }
}
