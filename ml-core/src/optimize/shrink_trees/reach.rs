//! Which sides of a branch a row can take, given the questions that it has answered on its way.

use super::{
    Changes,
    pool::{Id, Part, Pool, Question, Test},
};
use std::collections::HashMap;

/// Paths beyond this many for each part are not followed: parts that are shared can have more paths than atoms.
const PATHS_PER_PART: u64 = 64;

/// What is known of the value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    /// The numbers it may be; none when it is NaN for certain.
    numbers: Option<Interval>,
    /// Whether it may be NaN.
    nan: bool,
}

/// Numbers between two bounds; a bound that is `open` is not among them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval {
    low: f32,
    low_open: bool,
    high: f32,
    high_open: bool,
}

impl Interval {
    fn not_empty(self) -> Option<Self> {
        let some = self.low < self.high || (self.low == self.high && !self.low_open && !self.high_open);
        some.then_some(self)
    }

    /// The numbers up to `bound`.
    fn up_to(self, bound: f32, open: bool) -> Option<Self> {
        let narrower = bound < self.high || (bound == self.high && open);
        if narrower { Self { high: bound, high_open: open, ..self }.not_empty() } else { Some(self) }
    }

    /// The numbers from `bound` on.
    fn from(self, bound: f32, open: bool) -> Option<Self> {
        let narrower = bound > self.low || (bound == self.low && open);
        if narrower { Self { low: bound, low_open: open, ..self }.not_empty() } else { Some(self) }
    }

    fn only(self, value: f32) -> Option<Self> {
        self.up_to(value, false)?.from(value, false)
    }

    fn without(self, value: f32) -> Option<Self> {
        if self.low == self.high && self.low == value { None } else { Some(self) }
    }
}

impl Known {
    const NOTHING: Self = Self {
        numbers: Some(Interval { low: f32::NEG_INFINITY, low_open: false, high: f32::INFINITY, high_open: false }),
        nan: true,
    };

    fn is_possible(self) -> bool {
        self.numbers.is_some() || self.nan
    }

    /// What is known on the side where the question holds, and on the other.
    fn split(self, question: &Question) -> (Self, Self) {
        let threshold = f32::from_bits(question.threshold);
        let numbers = |side: fn(Interval, f32) -> Option<Interval>| self.numbers.and_then(|of| side(of, threshold));
        let (yes, no) = match question.test {
            Test::Leq => (numbers(|of, t| of.up_to(t, false)), numbers(|of, t| of.from(t, true))),
            Test::Lt => (numbers(|of, t| of.up_to(t, true)), numbers(|of, t| of.from(t, false))),
            Test::Gte => (numbers(|of, t| of.from(t, false)), numbers(|of, t| of.up_to(t, true))),
            Test::Gt => (numbers(|of, t| of.from(t, true)), numbers(|of, t| of.up_to(t, false))),
            Test::Eq => (numbers(Interval::only), numbers(Interval::without)),
            Test::Neq => (numbers(Interval::without), numbers(Interval::only)),
        };
        // NaN is unequal to everything, and no other test holds for it.
        let nan_yes = question.missing_yes || question.test == Test::Neq;
        (Self { numbers: yes, nan: self.nan && nan_yes }, Self { numbers: no, nan: self.nan && !nan_yes })
    }
}

/// The tree without the branches that rows can only take one side of.
pub(super) fn simplify(pool: &mut Pool, root: Id, changes: &mut Changes) -> Id {
    enum Task {
        Visit(Id),
        Know(i64, Known),
        Combine(Question),
    }
    let below = pool.below(root);
    if paths(pool, &below, root) > PATHS_PER_PART.saturating_mul(below.len() as u64) {
        return root;
    }
    let mut known: HashMap<i64, Known> = HashMap::new();
    let mut made: Vec<Id> = Vec::new();
    let mut decided = 0;
    let mut tasks = vec![Task::Visit(root)];
    while let Some(task) = tasks.pop() {
        match task {
            Task::Know(feature, of) => {
                known.insert(feature, of);
            }
            Task::Combine(question) => {
                let (no, yes) = (made.pop(), made.pop());
                let (Some(yes), Some(no)) = (yes, no) else { return root };
                made.push(pool.branch(question, yes, no));
            }
            Task::Visit(id) => match pool.part(id) {
                Part::Leaf(_) => made.push(id),
                Part::Branch { question, yes, no } => {
                    let before = known.get(&question.feature).copied().unwrap_or(Known::NOTHING);
                    let (if_yes, if_no) = before.split(question);
                    match (if_yes.is_possible(), if_no.is_possible()) {
                        (true, true) => tasks.extend([
                            Task::Combine(*question),
                            Task::Know(question.feature, before),
                            Task::Visit(*no),
                            Task::Know(question.feature, if_no),
                            Task::Visit(*yes),
                            Task::Know(question.feature, if_yes),
                        ]),
                        (possible, _) => {
                            decided += 1;
                            tasks.push(Task::Visit(if possible { *yes } else { *no }));
                        }
                    }
                }
            },
        }
    }
    let Some(simpler) = made.pop() else { return root };
    // What is shared between paths may differ on each of them, and the whole be larger than before.
    if decided > 0 && pool.below(simpler).len() <= below.len() {
        changes.add("branches of one possible side", decided);
        return simpler;
    }
    root
}

/// The nodes that walks along all paths pass.
fn paths(pool: &Pool, below: &[Id], root: Id) -> u64 {
    let mut sizes: HashMap<Id, u64> = HashMap::new();
    for &id in below {
        let size = match pool.part(id) {
            Part::Leaf(_) => 1,
            Part::Branch { yes, no, .. } => 1_u64.saturating_add(sizes[yes]).saturating_add(sizes[no]),
        };
        sizes.insert(id, size);
    }
    sizes[&root]
}
