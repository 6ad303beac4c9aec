//! Trees whose equal parts are one.

use std::collections::{HashMap, HashSet, hash_map::Entry};

/// A node of a [`Pool`]. Equal subtrees have one number.
pub(super) type Id = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Test {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A question about a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) feature: i64,
    pub(super) test: Test,
    /// The bits of the threshold, which is no NaN.
    pub(super) threshold: u32,
    /// Whether it holds for NaN, whatever the test.
    pub(super) missing_yes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Branch {
        question: Question,
        yes: Id,
        no: Id,
    },
    /// Targets in order, with the bits of their weights.
    Leaf(Vec<(i64, u32)>),
}

/// Parts of trees, each once. A part comes after those it leads to.
#[derive(Debug, Default)]
pub(super) struct Pool {
    parts: Vec<Part>,
    ids: HashMap<Part, Id>,
    equal_sides: u64,
}

impl Pool {
    pub(super) fn part(&self, id: Id) -> &Part {
        &self.parts[id as usize]
    }

    /// Branches asked for whose sides were equal, and which are none therefore.
    pub(super) fn equal_sides(&self) -> u64 {
        self.equal_sides
    }

    pub(super) fn leaf(&mut self, mut weights: Vec<(i64, u32)>) -> Id {
        weights.sort_unstable_by_key(|(target, _)| *target);
        self.intern(Part::Leaf(weights))
    }

    /// The branch; one side of it when both are equal.
    pub(super) fn branch(&mut self, question: Question, yes: Id, no: Id) -> Id {
        if yes == no {
            self.equal_sides += 1;
            return yes;
        }
        self.intern(Part::Branch { question, yes, no })
    }

    fn intern(&mut self, part: Part) -> Id {
        match self.ids.entry(part) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let id = Id::try_from(self.parts.len()).expect("a model has fewer nodes than 2^32");
                self.parts.push(free.key().clone());
                free.insert(id);
                id
            }
        }
    }

    /// Every part below and including `root`, each once, after those it leads to.
    pub(super) fn below(&self, root: Id) -> Vec<Id> {
        let mut seen = HashSet::from([root]);
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            if let Part::Branch { yes, no, .. } = self.part(id) {
                stack.extend([*yes, *no].into_iter().filter(|child| seen.insert(*child)));
            }
        }
        let mut below: Vec<Id> = seen.into_iter().collect();
        below.sort_unstable();
        below
    }

    /// Whether every weight below is zero.
    pub(super) fn is_zero(&self, root: Id) -> bool {
        self.leaves(root).all(|weights| weights.iter().all(|(_, bits)| f32::from_bits(*bits) == 0.0))
    }

    /// Targets that some leaf scores.
    pub(super) fn scored(&self, root: Id) -> HashSet<i64> {
        self.leaves(root).flatten().map(|(target, _)| *target).collect()
    }

    /// Targets that every leaf scores.
    pub(super) fn always_scored(&self, root: Id) -> HashSet<i64> {
        let targets = |weights: &[(i64, u32)]| weights.iter().map(|(target, _)| *target).collect::<HashSet<_>>();
        self.leaves(root).map(targets).reduce(|a, b| &a & &b).unwrap_or_default()
    }

    /// The tree with every weight times `factor`.
    pub(super) fn scaled(&mut self, root: Id, factor: f64) -> Id {
        #[expect(clippy::cast_possible_truncation, reason = "weights are in single precision")]
        let scale = |bits: u32| (f64::from(f32::from_bits(bits)) * factor) as f32;
        let mut made: HashMap<Id, Id> = HashMap::new();
        for id in self.below(root) {
            let new = match self.part(id).clone() {
                Part::Leaf(weights) => {
                    self.leaf(weights.into_iter().map(|(target, bits)| (target, scale(bits).to_bits())).collect())
                }
                Part::Branch { question, yes, no } => {
                    self.intern(Part::Branch { question, yes: made[&yes], no: made[&no] })
                }
            };
            made.insert(id, new);
        }
        made[&root]
    }

    /// One tree for two of the same shape: leaves have the sums of their weights. None when a sum is not finite.
    pub(super) fn sum(&mut self, a: Id, b: Id) -> Option<Id> {
        enum Task {
            Visit(Id, Id),
            Combine((Id, Id), Question, (Id, Id), (Id, Id)),
        }
        let mut made: HashMap<(Id, Id), Id> = HashMap::new();
        let mut tasks = vec![Task::Visit(a, b)];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Visit(a, b) if made.contains_key(&(a, b)) => {}
                Task::Visit(a, b) => match (self.part(a), self.part(b)) {
                    (Part::Leaf(first), Part::Leaf(second)) => {
                        let sums = add(first, second)?;
                        let id = self.leaf(sums);
                        made.insert((a, b), id);
                    }
                    (Part::Branch { question, yes, no }, Part::Branch { yes: other_yes, no: other_no, .. }) => {
                        let (yes, no) = ((*yes, *other_yes), (*no, *other_no));
                        tasks.push(Task::Combine((a, b), *question, yes, no));
                        tasks.extend([Task::Visit(yes.0, yes.1), Task::Visit(no.0, no.1)]);
                    }
                    _ => return None,
                },
                Task::Combine(of, question, yes, no) => {
                    let id = self.branch(question, made[&yes], made[&no]);
                    made.insert(of, id);
                }
            }
        }
        made.get(&(a, b)).copied()
    }

    fn leaves(&self, root: Id) -> impl Iterator<Item = &[(i64, u32)]> {
        self.below(root).into_iter().filter_map(|id| match self.part(id) {
            Part::Leaf(weights) => Some(weights.as_slice()),
            Part::Branch { .. } => None,
        })
    }
}

/// The weights of both leaves; none when a sum is not finite.
fn add(first: &[(i64, u32)], second: &[(i64, u32)]) -> Option<Vec<(i64, u32)>> {
    let mut sums = first.to_vec();
    for (target, bits) in second {
        match sums.iter_mut().find(|(known, _)| known == target) {
            Some((_, known)) => {
                let sum = f32::from_bits(*known) + f32::from_bits(*bits);
                if !sum.is_finite() {
                    return None;
                }
                *known = sum.to_bits();
            }
            None => sums.push((*target, *bits)),
        }
    }
    Some(sums)
}

/// Numbers for trees that ask the same questions, whatever their weights.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    of: HashMap<Id, u32>,
    ids: HashMap<Option<(Question, u32, u32)>, u32>,
}

impl Shapes {
    pub(super) fn of(&mut self, pool: &Pool, root: Id) -> u32 {
        for id in pool.below(root) {
            if self.of.contains_key(&id) {
                continue;
            }
            let key = match pool.part(id) {
                Part::Leaf(_) => None,
                Part::Branch { question, yes, no } => Some((*question, self.of[yes], self.of[no])),
            };
            let next = u32::try_from(self.ids.len()).expect("no more shapes than parts");
            let shape = *self.ids.entry(key).or_insert(next);
            self.of.insert(id, shape);
        }
        self.of[&root]
    }
}
