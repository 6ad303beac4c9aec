//! A graph with every name and shape resolved: steps over numbered registers.
//!
//! Registers whose value has had its last reader are used again within the call; those of outputs are moved out at its
//! end, and the others stay for the next call.

mod compiler;

use super::{
    kernel::{Frame, Kernel, Slot, empty},
    length::Length,
};
use crate::{
    Error, Result, Signature, Tensor, Tensors,
    onnx::proto::ModelProto,
    signature::TensorSpec,
    tensor::{DType, TensorData},
};
use compiler::Compiler;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory for the values of one call. A small file can declare many large ones, and a caller can bring many rows.
const MAX_CALL_BYTES: usize = 2 << 30;

/// Registers that stay between calls: of so many calls at a time, and none that took more than so many bytes.
const KEPT_FRAMES: usize = 64;
const KEPT_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Plan {
    steps: Vec<Step>,
    constants: Vec<Arc<Tensor>>,
    inputs: Vec<Length>,
    outputs: Vec<Output>,
    registers: Vec<DType>,
    /// The input and its dimension that say how many rows a call has, where that differs between calls.
    rows: Option<(usize, usize)>,
    /// Memory of the registers by row, and besides.
    bytes: (usize, usize),
    row_wise: bool,
    /// Registers of calls that have ended.
    frames: Mutex<Vec<Vec<TensorData>>>,
}

#[derive(Debug)]
struct Step {
    kernel: Box<dyn Kernel>,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
}

#[derive(Debug)]
struct Output {
    slot: Slot,
    shape: Vec<Length>,
    /// Whether a later output is the same value, so that this one is a copy.
    copied: bool,
}

impl Plan {
    /// Resolves a checked graph.
    pub(super) fn compile(model: &ModelProto, signature: &Signature) -> Result<Self> {
        Compiler::new(model)?.compile(signature)
    }

    /// What the outputs of a checked graph are for inputs of these types, whatever it declares.
    pub(super) fn infer(model: &ModelProto, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Compiler::new(model)?.infer(inputs)
    }

    /// Computes a graph that reads only constants.
    pub(super) fn evaluate(model: &ModelProto) -> Result<Vec<Tensor>> {
        Compiler::new(model)?.evaluate()
    }

    /// Whether every input and output leads with the rows, and no row of an output depends on two rows of an input: a
    /// call may be split into several of fewer rows.
    #[allow(dead_code, reason = "batches are not split over threads yet")]
    pub(super) fn is_row_wise(&self) -> bool {
        self.row_wise
    }

    /// Runs every step over inputs that fit the signature.
    pub(super) fn run(&self, signature: &Signature, inputs: &Tensors) -> Result<Tensors> {
        let tensors =
            signature.inputs().iter().map(|spec| inputs.require(&spec.name)).collect::<Result<Vec<&Tensor>>>()?;
        let rows = self.rows.map_or(1, |(input, axis)| tensors[input].shape()[axis]);
        self.check_memory(rows)?;
        let inputs = tensors.iter().zip(&self.inputs).map(|(tensor, len)| (tensor.data(), 0..len.at(rows))).collect();
        let mut frame = Frame { rows, inputs, constants: &self.constants, registers: self.take_registers() };
        for step in &self.steps {
            step.kernel.run(&mut frame, &step.inputs, &step.outputs)?;
        }
        let mut outputs = Tensors::new();
        for (spec, output) in signature.outputs().iter().zip(&self.outputs) {
            let shape: Vec<usize> = output.shape.iter().map(|length| length.at(rows)).collect();
            let data = match (output.slot, output.copied) {
                (Slot::Input(index), _) => tensors[index].data().clone(),
                (Slot::Constant(index), _) => self.constants[index].data().clone(),
                (Slot::Register(register), true) => frame.registers[register].clone(),
                (Slot::Register(register), false) => {
                    std::mem::replace(&mut frame.registers[register], empty(self.registers[register]))
                }
            };
            outputs.insert(spec.name.as_str(), Tensor::from_data(shape, data)?)?;
        }
        self.keep_registers(frame.registers, rows);
        Ok(outputs)
    }

    fn memory(&self, rows: usize) -> usize {
        self.bytes.0.saturating_mul(rows).saturating_add(self.bytes.1)
    }

    fn check_memory(&self, rows: usize) -> Result<()> {
        if self.memory(rows) <= MAX_CALL_BYTES {
            return Ok(());
        }
        Err(Error::resource_exhausted("the native runtime takes fewer rows of this model in one call")
            .with("rows", rows)
            .with("bytes_per_row", self.bytes.0)
            .with("limit", MAX_CALL_BYTES))
    }

    fn take_registers(&self) -> Vec<TensorData> {
        let kept = self.frames.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| self.registers.iter().copied().map(empty).collect())
    }

    fn keep_registers(&self, registers: Vec<TensorData>, rows: usize) {
        if self.memory(rows) <= KEPT_BYTES {
            let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
            if frames.len() < KEPT_FRAMES {
                frames.push(registers);
            }
        }
    }
}
