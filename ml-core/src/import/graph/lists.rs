//! The parallel lists of nodes and weights that the tree operators take.

use crate::{
    Error, Result,
    import::{
        cuts::Cuts,
        ensemble::{Node, Tree},
    },
    onnx::graph::Attribute,
};

/// One entry a node, and one entry a leaf.
#[derive(Debug)]
pub(super) struct Lists {
    /// What every leaf is multiplied by.
    slope: f64,
    trees: i64,
    tree_ids: Vec<i64>,
    node_ids: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<&'static str>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_yes: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

impl Lists {
    pub(super) fn new(slope: f64) -> Self {
        Self {
            slope,
            trees: 0,
            tree_ids: Vec::new(),
            node_ids: Vec::new(),
            features: Vec::new(),
            modes: Vec::new(),
            values: Vec::new(),
            yes: Vec::new(),
            no: Vec::new(),
            missing_yes: Vec::new(),
            leaf_trees: Vec::new(),
            leaf_nodes: Vec::new(),
            targets: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Appends a tree. A branch is as many nodes as it has cuts; one that sends everything one way is left out.
    pub(super) fn tree(&mut self, tree: &Tree) -> Result<()> {
        let layout = Layout::of(tree)?;
        for &at in &layout.order {
            match &tree.nodes[at] {
                Node::Leaf { value, .. } => self.end(layout.id(at)?, whole(tree.score)?, single(value * self.slope)?),
                Node::Branch { feature, left, right, .. } => {
                    let sides = [layout.id(*right)?, layout.id(*left)?];
                    let cuts = layout.cuts[at].as_ref().ok_or_else(|| Error::internal("a branch has cuts"))?;
                    self.chain(layout.id(at)?, whole(*feature)?, cuts, sides)?;
                }
            }
        }
        self.trees += 1;
        Ok(())
    }

    /// Appends a tree of one leaf.
    pub(super) fn leaf(&mut self, target: usize, weight: f32) -> Result<()> {
        self.end(0, whole(target)?, weight);
        self.trees += 1;
        Ok(())
    }

    /// Gives a leaf of no weight to every target that no tree scores: operators differ on what such a target is.
    pub(super) fn score_everything(&mut self, targets: usize) -> Result<()> {
        let mut scored = vec![false; targets];
        for target in &self.targets {
            if let Some(scored) = usize::try_from(*target).ok().and_then(|target| scored.get_mut(target)) {
                *scored = true;
            }
        }
        for (target, _) in scored.iter().enumerate().filter(|(_, scored)| !**scored) {
            self.leaf(target, 0.0)?;
        }
        Ok(())
    }

    pub(super) fn are_all_positive(&self) -> bool {
        self.weights.iter().all(|weight| *weight >= 0.0)
    }

    /// The attributes of the operator whose leaves are called so; base values only where there are any.
    pub(super) fn attributes(self, leaves: &str, base: &[f32]) -> Vec<Attribute> {
        let leaf = |name: &str| format!("{leaves}_{name}");
        let mut attributes = vec![
            Attribute::ints("nodes_treeids", self.tree_ids),
            Attribute::ints("nodes_nodeids", self.node_ids),
            Attribute::ints("nodes_featureids", self.features),
            Attribute::strings("nodes_modes", self.modes),
            Attribute::floats("nodes_values", self.values),
            Attribute::ints("nodes_truenodeids", self.yes),
            Attribute::ints("nodes_falsenodeids", self.no),
            Attribute::ints(&leaf("treeids"), self.leaf_trees),
            Attribute::ints(&leaf("nodeids"), self.leaf_nodes),
            Attribute::ints(&leaf("ids"), self.targets),
            Attribute::floats(&leaf("weights"), self.weights),
        ];
        if self.missing_yes.contains(&1) {
            attributes.push(Attribute::ints("nodes_missing_value_tracks_true", self.missing_yes));
        }
        if base.iter().any(|base| *base != 0.0) {
            attributes.push(Attribute::floats("base_values", base.iter().copied()));
        }
        attributes
    }

    /// One question a cut, upwards: the first that is answered with yes is for the stretch that the value is on. `sides`
    /// are the nodes to the right and to the left. ONNX Runtime lets several branches lead to one node by their yes, and
    /// wants a node of its own behind every no.
    fn chain(&mut self, start: i64, feature: i64, cuts: &Cuts, sides: [i64; 2]) -> Result<()> {
        let side = |stretch: usize| sides[usize::from(cuts.lowest_left == stretch.is_multiple_of(2))];
        for (stretch, end) in cuts.ends.iter().enumerate() {
            let id = start + whole(stretch)?;
            let last = stretch + 1 == cuts.ends.len();
            // NaN is answered with no until it is sent the way of a stretch; with one cut that may be the one above it.
            let sends_nan = stretch == usize::from(cuts.nan_left != cuts.lowest_left);
            self.node(id, feature, "BRANCH_LEQ", *end);
            self.yes.push(side(stretch));
            self.no.push(if last { side(stretch + 1) } else { id + 1 });
            self.missing_yes.push(i64::from(sends_nan));
        }
        Ok(())
    }

    fn end(&mut self, id: i64, target: i64, weight: f32) {
        self.node(id, 0, "LEAF", 0.0);
        self.yes.push(0);
        self.no.push(0);
        self.missing_yes.push(0);
        self.leaf_trees.push(self.trees);
        self.leaf_nodes.push(id);
        self.targets.push(target);
        self.weights.push(weight);
    }

    fn node(&mut self, id: i64, feature: i64, mode: &'static str, value: f32) {
        self.tree_ids.push(self.trees);
        self.node_ids.push(id);
        self.features.push(feature);
        self.modes.push(mode);
        self.values.push(value);
    }
}

/// Where the nodes of a tree come to stand.
struct Layout<'a> {
    tree: &'a Tree,
    /// The cuts of every branch.
    cuts: Vec<Option<Cuts>>,
    /// The nodes that are kept, as they are met on a walk from the root.
    order: Vec<usize>,
    /// The first id of every node that is kept.
    ids: Vec<Option<i64>>,
}

impl<'a> Layout<'a> {
    fn of(tree: &'a Tree) -> Result<Self> {
        let cuts = |node: &Node| match node {
            Node::Leaf { .. } => None,
            Node::Branch { split, missing, .. } => Some(Cuts::of(split, *missing)),
        };
        let cuts = tree.nodes.iter().map(cuts).collect();
        let mut layout = Self { tree, cuts, order: Vec::new(), ids: vec![None; tree.nodes.len()] };
        // Numbers all go one way and NaN the other: above infinity there is only NaN.
        for cuts in layout.cuts.iter_mut().flatten() {
            if cuts.ends.is_empty() && cuts.nan_left != cuts.lowest_left {
                cuts.ends.push(f32::INFINITY);
            }
        }
        let (mut open, mut next) = (vec![layout.settled(0)], 0_usize);
        while let Some(at) = open.pop() {
            layout.ids[at] = Some(whole(next)?);
            layout.order.push(at);
            next += layout.cuts[at].as_ref().map_or(1, |cuts| cuts.ends.len());
            if let Node::Branch { left, right, .. } = &tree.nodes[at] {
                open.extend([layout.settled(*right), layout.settled(*left)]);
            }
        }
        Ok(layout)
    }

    /// The first node at or below this one that is not left out.
    fn settled(&self, mut at: usize) -> usize {
        while let (Node::Branch { left, right, .. }, Some(cuts)) = (&self.tree.nodes[at], &self.cuts[at]) {
            if !cuts.ends.is_empty() {
                break;
            }
            at = if cuts.lowest_left { *left } else { *right };
        }
        at
    }

    fn id(&self, at: usize) -> Result<i64> {
        self.ids[self.settled(at)].ok_or_else(|| Error::internal("every child was met on the walk"))
    }
}

/// A number in single precision.
pub(super) fn single(number: f64) -> Result<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "what is too large is refused")]
    let rounded = number as f32;
    if rounded.is_finite() {
        Ok(rounded)
    } else {
        Err(Error::unsupported("a number of the model is too large for single precision").with("number", number))
    }
}

/// A count or an index as ONNX writes it.
pub(super) fn whole(number: usize) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::internal("an index of something in memory fits i64"))
}
