//! Multidirectional broadcasting: values of several shapes read as if they had one.

use super::length::{Length, MAX_RANK, Type};
use crate::{Error, Result};

/// How to walk over `N` values at once.
///
/// Dimensions over which every value goes on in memory as in the one before are one dimension here, so that values of one
/// shape, or of a matrix and a row, are walked in long runs.
#[derive(Debug)]
pub(super) struct Broadcast<const N: usize> {
    /// Lengths, outermost first; at least one. In the last one each value goes on by one element, or stays.
    lengths: Vec<Length>,
    /// How many elements each value goes on by in each dimension; zero where it is repeated.
    steps: Vec<[Length; N]>,
}

impl<const N: usize> Broadcast<N> {
    /// Gives the common shape as well.
    pub(super) fn new(types: [&Type; N]) -> Result<(Vec<Length>, Self)> {
        let rank = types.iter().map(|of| of.shape.len()).max().unwrap_or(0);
        let mut shape = vec![Length::ONE; rank];
        for of in types {
            let offset = rank - of.shape.len();
            for (common, &length) in shape[offset..].iter_mut().zip(&of.shape) {
                match (*common, length) {
                    (Length::ONE, length) => *common = length,
                    (common, length) if length == Length::ONE || length == common => {}
                    _ => {
                        let types = types.map(ToString::to_string).join(" and ");
                        return Err(Error::corrupt("the shapes do not broadcast").with("shapes", types));
                    }
                }
            }
        }
        let walk = Self::onto(&shape, types)?;
        Ok((shape, walk))
    }

    /// Repeats values over a given shape.
    pub(super) fn onto(shape: &[Length], types: [&Type; N]) -> Result<Self> {
        if let Some(longer) = types.iter().find(|of| of.shape.len() > shape.len()) {
            return Err(Error::corrupt("the shapes do not broadcast").with("got", longer));
        }
        let mut walk = Self { lengths: Vec::new(), steps: Vec::new() };
        let mut next = [Length::ONE; N];
        for (back, &length) in shape.iter().rev().enumerate() {
            let mut steps = [Length::fixed(0); N];
            for (value, of) in types.iter().enumerate() {
                let own = of.shape.len().checked_sub(back + 1).map_or(Length::ONE, |axis| of.shape[axis]);
                if own == length {
                    steps[value] = next[value];
                    next[value] = next[value].times(own)?;
                } else if own != Length::ONE {
                    return Err(Error::corrupt("the shapes do not broadcast").with("got", of));
                }
            }
            if length != Length::ONE {
                walk.lengths.push(length);
                walk.steps.push(steps);
            }
        }
        walk.lengths.reverse();
        walk.steps.reverse();
        walk.merge()?;
        if walk.lengths.is_empty() {
            walk.lengths.push(Length::ONE);
            walk.steps.push([Length::ONE; N]);
        }
        Ok(walk)
    }

    fn merge(&mut self) -> Result<()> {
        for outer in (0..self.lengths.len().saturating_sub(1)).rev() {
            let inner = outer + 1;
            let length = self.lengths[inner];
            let mut goes_on = true;
            for value in 0..N {
                goes_on &= self.steps[outer][value] == self.steps[inner][value].times(length)?;
            }
            if goes_on {
                self.lengths[outer] = self.lengths[outer].times(length)?;
                self.steps[outer] = self.steps[inner];
                self.lengths.remove(inner);
                self.steps.remove(inner);
            }
        }
        Ok(())
    }

    /// Calls `run` for every run of the last dimension, in order, with its length, where each value starts, and whether it
    /// goes on in it.
    ///
    /// `run` is not a type of its own here: the hundreds of operators share one walk, which compiles in a fraction of the time.
    pub(super) fn for_each(&self, rows: usize, run: &mut dyn FnMut(usize, [usize; N], [bool; N])) {
        let rank = self.lengths.len();
        let mut lengths = [0; MAX_RANK];
        let mut steps = [[0; N]; MAX_RANK];
        for axis in 0..rank {
            lengths[axis] = self.lengths[axis].at(rows);
            steps[axis] = self.steps[axis].map(|step| step.at(rows));
        }
        if lengths[..rank].contains(&0) {
            return;
        }
        let goes_on = self.steps[rank - 1].map(|step| step != Length::fixed(0));
        let mut at = [0; MAX_RANK];
        let mut offsets = [0; N];
        loop {
            run(lengths[rank - 1], offsets, goes_on);
            let mut axis = rank - 1;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                at[axis] += 1;
                for value in 0..N {
                    offsets[value] += steps[axis][value];
                }
                if at[axis] < lengths[axis] {
                    break;
                }
                for value in 0..N {
                    offsets[value] -= steps[axis][value] * lengths[axis];
                }
                at[axis] = 0;
            }
        }
    }
}

impl Broadcast<2> {
    /// Appends what a function gives for every pair.
    pub(super) fn zip<A: Copy, B: Copy, O>(
        &self,
        rows: usize,
        (a, b): (&[A], &[B]),
        out: &mut Vec<O>,
        f: impl Fn(A, B) -> O,
    ) {
        self.for_each(rows, &mut |len, [a_at, b_at], goes_on| match goes_on {
            [true, true] => {
                let pairs = a[a_at..a_at + len].iter().zip(&b[b_at..b_at + len]);
                out.extend(pairs.map(|(&a, &b)| f(a, b)));
            }
            [true, false] => {
                let b = b[b_at];
                out.extend(a[a_at..a_at + len].iter().map(|&a| f(a, b)));
            }
            [false, true] => {
                let a = a[a_at];
                out.extend(b[b_at..b_at + len].iter().map(|&b| f(a, b)));
            }
            [false, false] => (0..len).for_each(|_| out.push(f(a[a_at], b[b_at]))),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DType;

    fn of(shape: &[usize]) -> Type {
        Type::fixed(DType::Fp32, shape)
    }

    fn sums(a: &Type, b: &Type, rows: usize) -> (Vec<usize>, Vec<usize>, usize) {
        let (shape, walk) = Broadcast::new([a, b]).expect("they broadcast");
        let values =
            |of: &Type, by: usize| (0..of.len().expect("short").at(rows)).map(|value| value * by).collect::<Vec<_>>();
        let mut out = Vec::new();
        walk.zip(rows, (&values(a, 10), &values(b, 1)), &mut out, |a, b| a + b);
        (shape.iter().map(|length| length.at(rows)).collect(), out, walk.lengths.len())
    }

    #[test]
    fn a_row_is_added_to_every_row() {
        let matrix = Type::new(DType::Fp32, [Length::ROWS, Length::fixed(2)]);
        assert_eq!(sums(&matrix, &of(&[2]), 3), (vec![3, 2], vec![0, 11, 20, 31, 40, 51], 2));
        assert_eq!(sums(&matrix, &matrix, 2), (vec![2, 2], vec![0, 11, 22, 33], 1));
        assert_eq!(sums(&matrix, &of(&[]), 1), (vec![1, 2], vec![0, 10], 1));
        assert_eq!(sums(&matrix, &of(&[2]), 0), (vec![0, 2], vec![], 2));
    }

    #[test]
    fn every_value_may_be_repeated() {
        assert_eq!(sums(&of(&[3, 1]), &of(&[1, 2]), 1), (vec![3, 2], vec![0, 1, 10, 11, 20, 21], 2));
        assert_eq!(sums(&of(&[2, 1, 2]), &of(&[2, 1]), 1), (vec![2, 2, 2], vec![0, 10, 1, 11, 20, 30, 21, 31], 3));
        assert_eq!(sums(&of(&[]), &of(&[]), 1), (vec![], vec![0], 1));
        assert!(Broadcast::new([&of(&[3]), &of(&[2])]).is_err());
        let rows = Type::new(DType::Fp32, [Length::ROWS]);
        assert!(Broadcast::new([&rows, &of(&[2])]).is_err());
    }
}
