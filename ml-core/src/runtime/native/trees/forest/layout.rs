//! An ensemble checked for what would send a walk astray, with all its questions asked in one of two ways.

use super::{
    ensemble::{Ensemble, Node, Question, Test},
    real::Real,
};
use crate::{Error, Result};
use std::ops::Range;

/// Marks a reference to a leaf; the other bits are its number. Without it they are the number of a branch.
pub(super) const LEAF: u32 = 1 << 31;

/// Nodes an ensemble may have, so that a reference fits beside its mark.
const MAX_NODES: usize = LEAF as usize;

/// Whether a value is at most the threshold or, if `equal`, the threshold itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch<T> {
    pub(super) threshold: T,
    pub(super) feature: u32,
    pub(super) equal: bool,
    /// Whether it holds for NaN.
    pub(super) missing_yes: bool,
    pub(super) yes: u32,
    pub(super) no: u32,
}

#[derive(Debug)]
pub(in super::super) struct Layout<T> {
    pub(super) branches: Vec<Branch<T>>,
    pub(super) roots: Vec<u32>,
    /// The target and weight of leaf `i` are `entries[starts[i]..starts[i + 1]]`.
    pub(super) starts: Vec<u32>,
    pub(super) entries: Vec<(u32, T)>,
    /// For each tree, the leaves that belong to it.
    pub(super) leaves: Vec<Range<usize>>,
}

impl<T: Real> Layout<T> {
    pub(super) fn new(ensemble: &Ensemble<'_, T>, width: usize) -> Result<Self> {
        if ensemble.nodes.len() >= MAX_NODES || ensemble.weights.len() >= MAX_NODES {
            return Err(Error::unsupported("the native runtime takes no ensemble of so many nodes")
                .with("nodes", ensemble.nodes.len()));
        }
        let mut builder = Builder {
            ensemble,
            width,
            states: vec![State::New; ensemble.nodes.len()],
            layout: Self {
                branches: Vec::with_capacity(ensemble.nodes.len() / 2),
                roots: Vec::with_capacity(ensemble.roots.len()),
                starts: vec![0],
                entries: Vec::with_capacity(ensemble.weights.len()),
                leaves: Vec::with_capacity(ensemble.roots.len()),
            },
            begun: (0, 0),
        };
        for &root in &ensemble.roots {
            if builder.states[root] != State::New {
                return Err(builder.tell("two trees have a node in common", root));
            }
            let first = builder.layout.starts.len() - 1;
            builder.begun = (builder.layout.branches.len(), first);
            let place = builder.tree(root)?;
            builder.layout.roots.push(place);
            builder.layout.leaves.push(first..builder.layout.starts.len() - 1);
        }
        if let Some(node) = builder.states.iter().position(|state| *state == State::New) {
            return Err(builder.tell("no branch leads to a node", node));
        }
        Ok(builder.layout)
    }

    /// Target and weight of a leaf.
    pub(super) fn of_leaf(&self, leaf: usize) -> &[(u32, T)] {
        &self.entries[self.starts[leaf] as usize..self.starts[leaf + 1] as usize]
    }
}

impl<T: Real> Branch<T> {
    /// Every order of two numbers is whether one is at most the other: `x < t` is that for the number below `t`, and
    /// `x > t` is its opposite, for which the two ways change places. NaN keeps the way it had.
    fn new(question: &Question<T>, feature: u32, yes: u32, no: u32) -> Self {
        let below = |threshold: T| {
            // Nothing is below the least number.
            let down = threshold.next_down();
            if down < threshold { down } else { T::NAN }
        };
        let asked = question.threshold;
        let (threshold, equal, opposite) = match question.test {
            Test::Leq => (asked, false, false),
            Test::Lt => (below(asked), false, false),
            Test::Gt => (asked, false, true),
            Test::Gte => (below(asked), false, true),
            Test::Eq => (asked, true, false),
            Test::Neq => (asked, true, true),
        };
        // NaN is at most nothing and equal to nothing, but different from everything.
        let missing_yes = question.missing_yes || question.test == Test::Neq;
        let [yes, no] = if opposite { [no, yes] } else { [yes, no] };
        Self { threshold, feature, equal, missing_yes: missing_yes != opposite, yes, no }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the way from the root to where the walk is.
    Open,
    /// Laid out, at this place.
    Done(u32),
}

enum Visit {
    Enter(usize),
    /// All below is laid out: the branch of this number, of this node.
    Leave {
        node: usize,
        branch: u32,
    },
}

struct Builder<'a, T> {
    ensemble: &'a Ensemble<'a, T>,
    width: usize,
    states: Vec<State>,
    layout: Layout<T>,
    /// Branches and leaves that there were when the tree was begun.
    begun: (usize, usize),
}

impl<T: Real> Builder<'_, T> {
    /// Lays out a tree and gives the place of its root. The way down is kept on the heap: trees may be deep.
    fn tree(&mut self, root: usize) -> Result<u32> {
        let mut visits = vec![Visit::Enter(root)];
        while let Some(visit) = visits.pop() {
            match visit {
                Visit::Enter(node) => match (self.states[node], &self.ensemble.nodes[node]) {
                    (State::Done(place), _) if self.is_of_this_tree(place) => {}
                    (State::Done(_), _) => return Err(self.tell("two trees have a node in common", node)),
                    (State::Open, _) => return Err(self.tell("a tree leads back to itself", node)),
                    (State::New, Node::Leaf(weights)) => {
                        self.states[node] = State::Done(self.leaf(weights.clone())? | LEAF);
                    }
                    (State::New, Node::Branch(question)) => {
                        self.states[node] = State::Open;
                        let branch = number(self.layout.branches.len())?;
                        let checked = self.check(node, question)?;
                        self.layout.branches.push(checked);
                        let below = [Visit::Enter(question.no), Visit::Enter(question.yes)];
                        visits.push(Visit::Leave { node, branch });
                        visits.extend(below);
                    }
                },
                Visit::Leave { node, branch } => {
                    if let Node::Branch(question) = &self.ensemble.nodes[node] {
                        let feature = self.layout.branches[branch as usize].feature;
                        let [yes, no] = [self.place(question.yes)?, self.place(question.no)?];
                        self.layout.branches[branch as usize] = Branch::new(question, feature, yes, no);
                    }
                    self.states[node] = State::Done(branch);
                }
            }
        }
        self.place(root)
    }

    /// Whether a place was laid out after this tree was begun.
    fn is_of_this_tree(&self, place: u32) -> bool {
        let (branches, leaves) = self.begun;
        if place & LEAF == 0 { place as usize >= branches } else { (place & !LEAF) as usize >= leaves }
    }

    fn place(&self, node: usize) -> Result<u32> {
        match self.states[node] {
            State::Done(place) => Ok(place),
            State::New | State::Open => Err(self.tell("a node is not laid out", node)),
        }
    }

    fn check(&self, node: usize, question: &Question<T>) -> Result<Branch<T>> {
        let in_width = usize::try_from(question.feature).is_ok_and(|feature| feature < self.width);
        let Some(feature) = u32::try_from(question.feature).ok().filter(|_| in_width) else {
            return Err(self
                .tell("a branch asks for a column that is not there", node)
                .with("column", question.feature)
                .with("columns", self.width));
        };
        if question.threshold.is_nan() {
            return Err(self.tell("a threshold is not a number", node));
        }
        Ok(Branch::new(question, feature, 0, 0))
    }

    fn leaf(&mut self, weights: Range<usize>) -> Result<u32> {
        let leaf = number(self.layout.starts.len() - 1)?;
        for &(target, weight) in &self.ensemble.weights[weights] {
            self.layout.entries.push((number(target)?, weight));
        }
        self.layout.starts.push(number(self.layout.entries.len())?);
        Ok(leaf)
    }

    fn tell(&self, message: &str, node: usize) -> Error {
        self.ensemble.names.tell(Error::corrupt(message), node)
    }
}

fn number(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|error| Error::unsupported("the ensemble has too many nodes").with_source(error))
}
