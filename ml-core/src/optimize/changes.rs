//! What a pass did.

use serde::Serialize;
use std::fmt;

/// What a pass did to a model: counts by what was done, and what it left alone and why.
///
/// ```
/// use ml_core::optimize::Changes;
///
/// let mut changes = Changes::default();
/// changes.add("matrices to int8", 2);
/// changes.pass_over("Gemm head", "its weights are few");
/// assert_eq!(changes.to_string(), "matrices to int8: 2; left alone: 1 (its weights are few)");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    counts: Vec<(String, u64)>,
    left_alone: Vec<LeftAlone>,
}

/// Something that a pass could have changed and did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// Operator and name of the node.
    pub node: String,
    /// Why, as a clause such as `its weights are few`.
    pub reason: String,
}

impl Changes {
    /// Counts `n` more of one kind; zero changes nothing.
    pub fn add(&mut self, what: &str, n: u64) {
        if n == 0 {
            return;
        }
        match self.counts.iter_mut().find(|(known, _)| known == what) {
            Some((_, count)) => *count = count.saturating_add(n),
            None => self.counts.push((what.into(), n)),
        }
    }

    /// Notes that a node stays as it is.
    pub fn pass_over(&mut self, node: impl Into<String>, reason: impl Into<String>) {
        self.left_alone.push(LeftAlone { node: node.into(), reason: reason.into() });
    }

    /// How often one kind of change was made.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.iter().find(|(known, _)| known == what).map_or(0, |(_, count)| *count)
    }

    /// The kinds of change, in the order in which they were made first.
    #[must_use]
    pub fn counts(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, count)| (what.as_str(), *count))
    }

    /// What was left alone.
    #[must_use]
    pub fn left_alone(&self) -> &[LeftAlone] {
        &self.left_alone
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counts.is_empty() {
            f.write_str("nothing changed")?;
        }
        for (at, (what, count)) in self.counts.iter().enumerate() {
            write!(f, "{}{what}: {count}", if at == 0 { "" } else { ", " })?;
        }
        if !self.left_alone.is_empty() {
            let mut reasons: Vec<&str> = self.left_alone.iter().map(|left| left.reason.as_str()).collect();
            reasons.sort_unstable();
            reasons.dedup();
            write!(f, "; left alone: {} ({})", self.left_alone.len(), reasons.join(", "))?;
        }
        Ok(())
    }
}
