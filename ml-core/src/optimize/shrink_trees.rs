//! The same trees with fewer nodes.

mod ensemble;
mod pool;
mod reach;

use super::{
    Applied, Changes, Pass,
    network::{self, Network},
};
use crate::{
    Error, Result,
    onnx::{OnnxModel, proto::NodeProto},
};
use ensemble::{Aggregate, Ensemble, Parsed};
use pool::{Id, Pool};
use std::collections::{HashMap, HashSet};

/// How far [`ShrinkTrees`] goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShrinkTreesParams {
    /// Whether equal leaves and equal subtrees of a tree become one node that several branches lead to, each on the side
    /// where its question holds. ONNX Runtime and the native runtime take such trees, as exporters write them for
    /// categorical splits. True by default.
    pub share_nodes: bool,
    /// Bits of the fraction that thresholds keep, from 1 to 23: 10 are those of half precision. Fewer distinct thresholds
    /// make more branches equal, and rows that lie between a threshold and its rounding go the other way. This is the
    /// only part that changes outputs, so it is none by default.
    pub threshold_bits: Option<u8>,
}

impl Default for ShrinkTreesParams {
    fn default() -> Self {
        Self { share_nodes: true, threshold_bits: None }
    }
}

/// Makes `TreeEnsembleRegressor` and `TreeEnsembleClassifier` smaller without changing what they compute.
///
/// - Branches that no row can reach or pass are dropped: a path that asks `x <= 3` need not ask `x <= 5` again. Rows with
///   missing values are followed on their own way.
/// - Branches whose sides are equal are dropped.
/// - Trees that ask the same questions become one tree with the sums of their weights, and equal trees of a minimum or
///   maximum become one.
/// - Trees whose weights are all zero are dropped, where a score stays a score.
/// - Equal leaves and subtrees of a tree are kept once, if [asked](ShrinkTreesParams::share_nodes).
/// - Hit rates are dropped: no runtime reads them, and a node that stands for several has none of its own.
///
/// Sums of weights are rounded as any sum in single precision is; all else is exact to the bit. Ensembles with numbers in
/// double precision and the newer `TreeEnsemble` stay as they are.
///
/// ```
/// use ml_core::optimize::{ShrinkTrees, ShrinkTreesParams};
///
/// let exact = ShrinkTrees::new(ShrinkTreesParams::default())?;
/// let coarse = ShrinkTrees::new(ShrinkTreesParams { threshold_bits: Some(10), ..Default::default() })?;
/// assert!(ShrinkTrees::new(ShrinkTreesParams { threshold_bits: Some(24), ..Default::default() }).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ShrinkTrees {
    params: ShrinkTreesParams,
}

impl ShrinkTrees {
    /// Keeps the parameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for bits that a fraction in single precision has not.
    pub fn new(params: ShrinkTreesParams) -> Result<Self> {
        match params.threshold_bits {
            Some(bits) if !(1..=23).contains(&bits) => {
                Err(Error::invalid_input("a fraction has 1 to 23 bits").with("threshold_bits", bits))
            }
            _ => Ok(Self { params }),
        }
    }

    fn shrink(&self, node: &NodeProto, changes: &mut Changes) -> Result<Option<NodeProto>> {
        let ensemble = match Ensemble::parse(node)? {
            Parsed::Ensemble(ensemble) => ensemble,
            Parsed::Other(reason) => {
                network::pass_over(changes, node, reason);
                return Ok(None);
            }
        };
        let mut found = Changes::default();
        let mut pool = Pool::default();
        let rounding = self.params.threshold_bits;
        let mut trees = ensemble.trees(&mut pool, rounding, &mut found)?;
        for tree in &mut trees {
            tree.root = reach::simplify(&mut pool, tree.root, &mut found);
        }
        found.add("branches of equal sides", pool.equal_sides());
        let mut trees = merge(&mut pool, trees, ensemble.aggregate, &mut found);
        drop_without_effect(&pool, &mut trees, &ensemble, &mut found);
        if ensemble.aggregate == Aggregate::Average && trees.len() != ensemble.tree_count() {
            let factor = ratio(trees.len(), ensemble.tree_count());
            for tree in &mut trees {
                tree.root = pool.scaled(tree.root, factor);
            }
        }
        let Some(written) = ensemble.write(node, &pool, &trees, self.params.share_nodes) else {
            network::pass_over(changes, node, "the nodes that its branches share would be more");
            return Ok(None);
        };
        if ensemble.is_classifier && written.scores != ensemble.scores() {
            // Runtimes tell two classes apart by which of them have weights and whether one of these is negative.
            network::pass_over(changes, node, "its classes would be told apart in another way");
            return Ok(None);
        }
        let saved = ensemble.node_count().saturating_sub(written.nodes);
        if saved == 0 && found.is_empty() && !ensemble.has_hit_rates() {
            return Ok(None);
        }
        for (what, count) in found.counts() {
            changes.add(what, count);
        }
        changes.add("nodes saved", saved as u64);
        changes.add("hit rates dropped", u64::from(ensemble.has_hit_rates()));
        Ok(Some(written.node))
    }
}

impl Pass for ShrinkTrees {
    fn name(&self) -> &'static str {
        "shrink-trees"
    }

    /// # Errors
    /// As [`Pass::apply`]: lists of different lengths, a child that is not there, a cycle, and thresholds and weights that
    /// are no numbers are [`Corrupt`](crate::ErrorKind::Corrupt).
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        let mut changes = Changes::default();
        let mut nodes = std::mem::take(&mut network.graph.node);
        for node in &mut nodes {
            let trees = matches!(
                network.op(node),
                Some(("ai.onnx.ml", "TreeEnsembleRegressor" | "TreeEnsembleClassifier" | "TreeEnsemble"))
            );
            if trees
                && let Some(smaller) =
                    self.shrink(node, &mut changes).map_err(|error| error.with("node", network::label(node)))?
            {
                *node = smaller;
            }
        }
        network.graph.node = nodes;
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

/// A tree within a [`Pool`].
#[derive(Debug, Clone, Copy)]
struct Tree {
    root: Id,
    /// Whether several branches led to one node in the model itself.
    shared: bool,
}

/// One tree for all that ask the same questions.
fn merge(pool: &mut Pool, trees: Vec<Tree>, aggregate: Aggregate, changes: &mut Changes) -> Vec<Tree> {
    let before = trees.len();
    let mut merged: Vec<Tree> = Vec::with_capacity(before);
    match aggregate {
        Aggregate::Min | Aggregate::Max => {
            let mut seen = HashSet::new();
            merged.extend(trees.into_iter().filter(|tree| seen.insert(tree.root)));
        }
        Aggregate::Sum | Aggregate::Average => {
            let mut by_shape: HashMap<u32, usize> = HashMap::new();
            let mut shapes = pool::Shapes::default();
            for tree in trees {
                let shape = shapes.of(pool, tree.root);
                let at = *by_shape.entry(shape).or_insert(merged.len());
                match merged.get_mut(at) {
                    None => merged.push(tree),
                    Some(first) => match pool.sum(first.root, tree.root) {
                        Some(root) => *first = Tree { root, shared: first.shared || tree.shared },
                        // Weights beyond single precision stay two trees.
                        None => merged.push(tree),
                    },
                }
            }
        }
    }
    changes.add("trees merged", (before - merged.len()) as u64);
    merged
}

/// Drops trees of zeros.
fn drop_without_effect(pool: &Pool, trees: &mut Vec<Tree>, ensemble: &Ensemble<'_>, changes: &mut Changes) {
    if !matches!(ensemble.aggregate, Aggregate::Sum | Aggregate::Average) {
        return;
    }
    // By target, how many trees score every row. A class without any score is told apart from one whose score is zero.
    let mut always: HashMap<i64, usize> = HashMap::new();
    if ensemble.is_classifier {
        for target in trees.iter().flat_map(|tree| pool.always_scored(tree.root)) {
            *always.entry(target).or_default() += 1;
        }
    }
    let before = trees.len();
    let mut left = before;
    trees.retain(|tree| {
        let own = if ensemble.is_classifier { pool.always_scored(tree.root) } else { HashSet::new() };
        let scored_by_others =
            |target: &i64| always.get(target).copied().unwrap_or(0) > usize::from(own.contains(target));
        let idle = left > 1
            && pool.is_zero(tree.root)
            && (!ensemble.is_classifier || pool.scored(tree.root).iter().all(scored_by_others));
        if idle {
            left -= 1;
            for target in own {
                always.entry(target).and_modify(|count| *count -= 1);
            }
        }
        !idle
    });
    changes.add("trees without effect", (before - trees.len()) as u64);
}

#[expect(clippy::cast_precision_loss, reason = "more trees than 2^52 do not fit a model")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
