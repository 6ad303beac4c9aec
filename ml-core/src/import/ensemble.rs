//! An ensemble of trees as the library that trained it sees it, evaluated in double precision.

use crate::{Bundle, Error, Result, bundle::CHECKPOINT};
use serde::{Deserialize, Serialize};

/// An imported ensemble in its own terms: every split with its rule for missing values, every node with its cover.
///
/// It stands in the [checkpoint](CHECKPOINT) of the bundle, for what the graph cannot carry: covers for SHAP, and the
/// numbers before they were rounded to single precision. [`Ensemble::of`] reads it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ensemble {
    /// The columns of the input, in order.
    pub features: Vec<String>,
    /// Raw scores a row.
    pub scores: usize,
    /// What each raw score starts from: one number a score.
    pub base: Vec<f64>,
    /// How raw scores become outputs.
    pub link: Link,
    /// The trees. A raw score is its base plus the leaves that the row reaches in the trees of that score.
    pub trees: Vec<Tree>,
}

/// How raw scores become outputs.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name", deny_unknown_fields)]
pub enum Link {
    /// The scores themselves.
    Identity,
    /// `1 / (1 + exp(-slope * score))`, as a number.
    Sigmoid {
        /// What the score is multiplied by.
        slope: f64,
    },
    /// `exp(score)`.
    Exp,
    /// `log(1 + exp(score))`.
    Softplus,
    /// `score * |score|`, the inverse of a signed square root.
    SignedSquare,
    /// 1 where the score is above zero, otherwise 0.
    Step,
    /// Two classes: the second has the probability `1 / (1 + exp(-slope * score))`.
    Logistic {
        /// What the score is multiplied by.
        slope: f64,
    },
    /// One class a score: `exp(score)` over the sum of all.
    Softmax,
    /// One class a score: `1 / (1 + exp(-slope * score))` each, whatever the others.
    OneVersusAll {
        /// What the score is multiplied by.
        slope: f64,
    },
}

impl Link {
    /// The number of classes told apart, where outputs are classes.
    pub(super) fn classes(self, scores: usize) -> Option<usize> {
        match self {
            Self::Logistic { .. } => Some(2),
            Self::Softmax | Self::OneVersusAll { .. } => Some(scores),
            Self::Identity | Self::Sigmoid { .. } | Self::Exp | Self::Softplus | Self::SignedSquare | Self::Step => {
                None
            }
        }
    }

    /// Predictions, or the probabilities of the classes.
    pub(super) fn apply(self, scores: &[f64]) -> Vec<f64> {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let each = |f: &dyn Fn(f64) -> f64| scores.iter().map(|score| f(*score)).collect();
        match self {
            Self::Identity => scores.to_vec(),
            Self::Sigmoid { slope } | Self::OneVersusAll { slope } => each(&|score| logistic(slope * score)),
            Self::Exp => each(&f64::exp),
            Self::Softplus => each(&|score| score.max(0.0) + (-score.abs()).exp().ln_1p()),
            Self::SignedSquare => each(&|score| score * score.abs()),
            Self::Step => each(&|score| f64::from(u8::from(score > 0.0))),
            Self::Logistic { slope } => vec![logistic(-slope * scores[0]), logistic(slope * scores[0])],
            Self::Softmax => {
                let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let shares: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
                let sum: f64 = shares.iter().sum();
                shares.iter().map(|share| share / sum).collect()
            }
        }
    }
}

/// One tree. The first node is its root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The raw score that its leaves are added to.
    pub score: usize,
    /// Its nodes; every one but the root is the child of one other.
    pub nodes: Vec<Node>,
}

/// A leaf or a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Node {
    /// The end of a way.
    Leaf {
        /// What is added to the raw score.
        value: f64,
        /// How much of the training data ended here: rows for LightGBM, the sum of hessians for XGBoost.
        cover: f64,
    },
    /// A question about one column.
    Branch {
        /// The column.
        feature: usize,
        /// What goes left.
        split: Split,
        /// Where a missing value goes.
        missing: Missing,
        /// The node for what goes left.
        left: usize,
        /// The node for all else.
        right: usize,
        /// How much of the training data came by.
        cover: f64,
    },
}

/// What goes left at a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Numbers up to this one, compared in double precision; what is not above 1e-35 in size counts as 0 (LightGBM).
    AtMost(f64),
    /// Numbers below this one, compared in single precision (XGBoost).
    Below(f32),
    /// These categories, in order; everything else goes right. A number is cut to a whole one first (LightGBM).
    Among(Vec<u32>),
    /// All but these categories, in order. A number is cut to a whole one first; what can be no category, being negative
    /// or 16777216 and more, goes left as well (XGBoost).
    NotAmong(Vec<u32>),
}

/// What counts as missing at a branch, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// NaN goes left.
    Left,
    /// NaN goes right.
    Right,
    /// NaN goes where 0 goes.
    AsZero,
    /// NaN and what is not above 1e-35 in size go left.
    ZeroLeft,
    /// NaN and what is not above 1e-35 in size go right.
    ZeroRight,
}

/// Up to this size LightGBM takes a number for zero.
pub(super) const ZERO: f32 = 1e-35;

/// From here on XGBoost takes a number for no category: the first whole number whose successor is no `f32`.
pub(super) const NO_CATEGORY: f32 = 16_777_216.0;

impl Split {
    /// Whether a value goes left, in the terms of the library that trained the tree.
    pub(super) fn goes_left(&self, missing: Missing, value: f32) -> bool {
        let category = || f64::from(value).trunc();
        let has =
            |categories: &[u32]| categories.binary_search_by(|c| f64::from(*c).total_cmp(&(category() + 0.0))).is_ok();
        match missing {
            Missing::Left | Missing::Right if value.is_nan() => return missing == Missing::Left,
            Missing::ZeroLeft | Missing::ZeroRight if value.is_nan() || value.abs() <= ZERO => {
                return missing == Missing::ZeroLeft;
            }
            _ => {}
        }
        match self {
            // LightGBM keeps rows without their zeros, NaN of a split that knows no missing value among them.
            Self::AtMost(threshold) => {
                let is_zero = value.is_nan() || value.abs() <= ZERO;
                (if is_zero { 0.0 } else { f64::from(value) }) <= *threshold
            }
            Self::Below(threshold) => value < *threshold,
            Self::Among(categories) => has(categories),
            Self::NotAmong(categories) => !(0.0..NO_CATEGORY).contains(&value) || !has(categories),
        }
    }
}

impl Tree {
    /// The value of the leaf that a row reaches.
    fn leaf(&self, row: &[f32]) -> f64 {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Leaf { value, .. } => return *value,
                Node::Branch { feature, split, missing, left, right, .. } => {
                    at = if split.goes_left(*missing, row[*feature]) { *left } else { *right };
                }
            }
        }
    }

    /// Refuses columns and nodes that are not there, ways that meet or lead back, nodes off every way, and numbers that
    /// are none.
    fn check(&self, features: usize, scores: usize) -> Result<()> {
        if self.score >= scores {
            return Err(Error::corrupt("a tree is of no score").with("score", self.score).with("scores", scores));
        }
        let mut seen = vec![false; self.nodes.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let wrong = |message: &str| Error::corrupt(message).with("node", at);
            let node = self.nodes.get(at).ok_or_else(|| wrong("a branch leads to a node that is not there"))?;
            if std::mem::replace(&mut seen[at], true) {
                return Err(wrong("two branches lead to one node"));
            }
            match node {
                Node::Leaf { value, cover } => {
                    if !value.is_finite() || !cover.is_finite() {
                        return Err(wrong("the value or the cover of a leaf is not finite"));
                    }
                }
                Node::Branch { feature, split, left, right, cover, .. } => {
                    if *feature >= features {
                        return Err(wrong("a branch asks for a column that is not there")
                            .with("feature", feature)
                            .with("features", features));
                    }
                    let no_number = match split {
                        Split::AtMost(threshold) => threshold.is_nan(),
                        Split::Below(threshold) => threshold.is_nan(),
                        Split::Among(_) | Split::NotAmong(_) => false,
                    };
                    if no_number || !cover.is_finite() {
                        return Err(wrong("the threshold or the cover of a branch is no number"));
                    }
                    open.extend([*right, *left]);
                }
            }
        }
        match seen.iter().position(|seen| !seen) {
            Some(node) => Err(Error::corrupt("no branch leads to a node").with("node", node)),
            None => Ok(()),
        }
    }
}

/// What a row comes to before the link.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Raw {
    pub(super) scores: Vec<f64>,
    /// For each score, the sum of the sizes of what it is the sum of: how much rounding there may be.
    pub(super) sizes: Vec<f64>,
}

impl Ensemble {
    /// The ensemble of an imported bundle.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when the bundle has no checkpoint, [`Corrupt`](crate::ErrorKind::Corrupt)
    /// when that is of another form or its trees do not hold together.
    pub fn of(bundle: &Bundle) -> Result<Self> {
        let Checkpoint { version, state, .. } = bundle.json::<Checkpoint<Self>>(CHECKPOINT)?;
        if version != VERSION {
            return Err(Error::corrupt("the checkpoint is of another version").with("version", version));
        }
        state.check()?;
        Ok(state)
    }

    /// The raw scores of a row, in double precision.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the row has another number of columns.
    pub fn raw_scores(&self, row: &[f32]) -> Result<Vec<f64>> {
        if row.len() == self.features.len() {
            Ok(self.raw(row).scores)
        } else {
            Err(Error::invalid_input("a row has another number of columns")
                .with("expected", self.features.len())
                .with("got", row.len()))
        }
    }

    pub(super) fn raw(&self, row: &[f32]) -> Raw {
        let mut raw = Raw { scores: self.base.clone(), sizes: self.base.iter().map(|base| base.abs()).collect() };
        for tree in &self.trees {
            let leaf = tree.leaf(row);
            raw.scores[tree.score] += leaf;
            raw.sizes[tree.score] += leaf.abs();
        }
        raw
    }

    /// The checkpoint of a bundle, as [`Checkpoint`](crate::trainer::Checkpoint) reads it.
    pub(super) fn checkpoint(&self, backend: &str) -> Result<Vec<u8>> {
        let checkpoint = Checkpoint { backend: backend.to_owned(), version: VERSION, state: self };
        serde_json::to_vec(&checkpoint).map_err(|source| Error::internal("trees have a JSON form").with_source(source))
    }

    /// Refuses trees that do not hold together, so that nothing after it meets one.
    pub(super) fn check(&self) -> Result<()> {
        if self.features.is_empty() {
            return Err(Error::corrupt("a model of no features"));
        }
        if self.scores == 0 || self.base.len() != self.scores || self.base.iter().any(|base| !base.is_finite()) {
            return Err(Error::corrupt("one finite base a score is needed").with("scores", self.scores));
        }
        let fits = match self.link {
            Link::Logistic { .. } => self.scores == 1,
            Link::Softmax | Link::OneVersusAll { .. } => self.scores >= 2,
            _ => true,
        };
        if !fits {
            return Err(Error::corrupt("classes are told apart by one score of two, or by one each")
                .with("scores", self.scores));
        }
        for (tree, of) in self.trees.iter().enumerate() {
            of.check(self.features.len(), self.scores).map_err(|error| error.with("tree", tree))?;
        }
        Ok(())
    }
}

/// [`crate::trainer::Checkpoint`] without a tree of JSON values in between.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint<T> {
    backend: String,
    version: u32,
    state: T,
}

const VERSION: u32 = 1;
