//! What the operators are made of: a kernel that computes a node, and the values it reads and writes.

use super::{
    element::{Scalar as _, Wide, for_scalars},
    length::Type,
};
use crate::{
    Result, Tensor,
    tensor::{Element, TensorData},
};
use std::{fmt, ops::Range, sync::Arc};

/// Computes the outputs of one node in one call.
///
/// The slots are those of the node's inputs and outputs, in order; an input that is left out has none and is not there,
/// so a kernel with optional inputs knows from its own fields which it has.
pub(super) trait Kernel: fmt::Debug + Send + Sync {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()>;
}

/// Where a value lives during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// A tensor of the caller, in the order of the signature.
    Input(usize),
    /// A tensor of the graph, or one computed from those at load.
    Constant(usize),
    /// A value made during the call. A register keeps its element type.
    Register(usize),
}

/// What a node becomes.
#[derive(Debug)]
pub(super) enum Lowered {
    /// The first input under another shape: nothing to do.
    Alias(Type),
    /// Tensors known at load, one an output.
    Constants(Vec<Tensor>),
    Step(Work),
}

impl Lowered {
    /// Work that reads all inputs of the node.
    pub(super) fn step(kernel: impl Kernel + 'static, outputs: impl Into<Vec<Type>>) -> Self {
        Self::boxed(Box::new(kernel), outputs)
    }

    pub(super) fn boxed(kernel: Box<dyn Kernel>, outputs: impl Into<Vec<Type>>) -> Self {
        let outputs = outputs.into();
        Self::Step(Work { kernel, outputs, in_place: false, reads: usize::MAX, mixes_rows: false })
    }

    /// The kernel may write its first output where it reads its first input, which has the same type.
    pub(super) fn in_place(self) -> Self {
        self.change(|work| work.in_place = true)
    }

    /// The kernel reads only so many of the inputs; it has taken what it needs from the others.
    pub(super) fn reading(self, inputs: usize) -> Self {
        self.change(|work| work.reads = inputs)
    }

    /// An output row is made of several input rows, although its shape does not tell.
    pub(super) fn mixing_rows(self, mixes: bool) -> Self {
        self.change(|work| work.mixes_rows = mixes)
    }

    fn change(mut self, with: impl FnOnce(&mut Work)) -> Self {
        if let Self::Step(work) = &mut self {
            with(work);
        }
        self
    }
}

/// A kernel and what the plan has to know of it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) outputs: Vec<Type>,
    pub(super) in_place: bool,
    pub(super) reads: usize,
    pub(super) mixes_rows: bool,
}

/// The values of one call.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// The rows of the call, by which lengths become numbers.
    pub(super) rows: usize,
    /// Tensors of the caller, and which of their elements belong to the call.
    pub(super) inputs: Vec<(&'a TensorData, Range<usize>)>,
    pub(super) constants: &'a [Arc<Tensor>],
    pub(super) registers: Vec<TensorData>,
}

impl Frame<'_> {
    /// The elements of a slot, which was lowered as one of this type.
    pub(super) fn values<T: Element>(&self, slot: Slot) -> &[T] {
        let values = match slot {
            Slot::Input(index) => {
                let (data, range) = &self.inputs[index];
                T::borrow(data).map(|values| &values[range.clone()])
            }
            Slot::Constant(index) => T::borrow(self.constants[index].data()),
            Slot::Register(register) => T::borrow(&self.registers[register]),
        };
        debug_assert!(values.is_some(), "{slot:?} holds {}", T::DTYPE);
        values.unwrap_or_default()
    }

    /// Reads single numbers of a slot, of whatever type: for operands of which a kernel a type would be too many.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for texts.
    pub(super) fn reader(&self, slot: Slot) -> Result<Box<dyn Fn(usize) -> Wide + '_>> {
        let dtype = match slot {
            Slot::Input(index) => self.inputs[index].0.dtype(),
            Slot::Constant(index) => self.constants[index].dtype(),
            Slot::Register(register) => self.registers[register].dtype(),
        };
        for_scalars!(dtype, T => {
            let values = self.values::<T>(slot);
            Box::new(move |at: usize| values[at].wide()) as Box<dyn Fn(usize) -> Wide + '_>
        })
    }

    /// Takes a register out to be written; what it holds is the last value written, if any.
    pub(super) fn take<T: Element>(&mut self, slot: Slot) -> Vec<T> {
        let Slot::Register(register) = slot else { return Vec::new() };
        T::take(std::mem::replace(&mut self.registers[register], T::wrap(Vec::new()))).unwrap_or_default()
    }

    /// Takes a register out to be written from its start.
    pub(super) fn take_cleared<T: Element>(&mut self, slot: Slot) -> Vec<T> {
        let mut values = self.take(slot);
        values.clear();
        values
    }

    /// Puts a register back.
    pub(super) fn put<T: Element>(&mut self, slot: Slot, values: Vec<T>) {
        if let Slot::Register(register) = slot {
            self.registers[register] = T::wrap(values);
        }
    }
}
