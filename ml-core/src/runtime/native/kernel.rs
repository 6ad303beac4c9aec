//! What the operators are made of: a kernel that computes a node, and the values it reads and writes.

use crate::{
    Result,
    tensor::{DType, TensorData},
};
use std::fmt;

/// Computes the outputs of one node for all rows of a call.
pub(super) trait Kernel: fmt::Debug + Send + Sync {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()>;
}

/// Where a value lives during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// A tensor of the caller, in the order of the signature.
    Input(usize),
    /// A register of single-precision numbers.
    Floats(usize),
    /// A register of whole numbers.
    Ints(usize),
}

/// Element type and shape of a value, without its first dimension: the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) dtype: DType,
    pub(super) inner: Vec<usize>,
}

impl Type {
    pub(super) fn new(dtype: DType, inner: impl Into<Vec<usize>>) -> Self {
        Self { dtype, inner: inner.into() }
    }

    /// Elements of one row.
    pub(super) fn width(&self) -> usize {
        self.inner.iter().product()
    }
}

/// What a node becomes.
#[derive(Debug)]
pub(super) enum Lowered {
    /// The first input under another shape: nothing to do.
    Alias(Type),
    /// Work. `in_place` when the kernel may write where it reads its first input.
    Step { kernel: Box<dyn Kernel>, outputs: Vec<Type>, in_place: bool },
}

/// The values of one call.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) rows: usize,
    pub(super) inputs: Vec<&'a TensorData>,
    pub(super) floats: Vec<Vec<f32>>,
    pub(super) ints: Vec<Vec<i64>>,
}

impl<'a> Frame<'a> {
    /// The numbers of a slot that was lowered as `FP32`.
    pub(super) fn floats(&self, slot: Slot) -> &[f32] {
        match slot {
            Slot::Floats(register) => &self.floats[register],
            Slot::Input(index) => match self.inputs[index] {
                TensorData::Fp32(values) => values,
                _ => &[],
            },
            Slot::Ints(_) => &[],
        }
    }

    /// The numbers of a slot that was lowered as `INT64`.
    pub(super) fn ints(&self, slot: Slot) -> &[i64] {
        match slot {
            Slot::Ints(register) => &self.ints[register],
            Slot::Input(index) => match self.inputs[index] {
                TensorData::Int64(values) => values,
                _ => &[],
            },
            Slot::Floats(_) => &[],
        }
    }

    /// The elements of an input of the graph, of any type.
    pub(super) fn input(&self, slot: Slot) -> Option<&'a TensorData> {
        if let Slot::Input(index) = slot { Some(self.inputs[index]) } else { None }
    }

    /// Takes a register out to be written; what it holds is the last value written, if any.
    pub(super) fn take_floats(&mut self, slot: Slot) -> Vec<f32> {
        if let Slot::Floats(register) = slot { std::mem::take(&mut self.floats[register]) } else { Vec::new() }
    }

    /// Puts a register back.
    pub(super) fn put_floats(&mut self, slot: Slot, values: Vec<f32>) {
        if let Slot::Floats(register) = slot {
            self.floats[register] = values;
        }
    }

    /// As [`Frame::take_floats`].
    pub(super) fn take_ints(&mut self, slot: Slot) -> Vec<i64> {
        if let Slot::Ints(register) = slot { std::mem::take(&mut self.ints[register]) } else { Vec::new() }
    }

    /// As [`Frame::put_floats`].
    pub(super) fn put_ints(&mut self, slot: Slot, values: Vec<i64>) {
        if let Slot::Ints(register) = slot {
            self.ints[register] = values;
        }
    }
}
