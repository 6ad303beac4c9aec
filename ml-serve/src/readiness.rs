//! Whether a server is alive, and whether it wants requests.

use std::fmt;

/// Where a server is between its start and its end.
///
/// Alive and ready are two questions: a server that loads or drains is alive, and restarting it would only lose time;
/// it is not ready, and requests do better elsewhere.
///
/// ```
/// use ml_serve::Readiness;
///
/// assert!(Readiness::Draining.is_live());
/// assert!(!Readiness::Draining.is_ready());
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Readiness {
    /// Not every model is loaded yet.
    Starting,
    /// Every model is loaded.
    Ready,
    /// The end is near: requests are still answered, while load balancers take notice.
    Draining,
    /// Requests are refused.
    Closed,
}

impl Readiness {
    /// Whether the server does its work, so that nobody has to restart it.
    #[must_use]
    pub fn is_live(self) -> bool {
        self != Self::Closed
    }

    /// Whether requests are welcome.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Closed => "closed",
        })
    }
}
