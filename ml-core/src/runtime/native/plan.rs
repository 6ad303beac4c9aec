//! A graph with every name and shape resolved: steps over numbered registers.
//!
//! Registers whose value has had its last reader are used again within the call; those of outputs are moved out at its
//! end, and the others stay for the next call.

mod compiler;

use super::{
    kernel::{Frame, Kernel, Slot},
    length::Length,
    pool::Pool,
};
use crate::{
    Error, Result, Signature, Tensor, Tensors,
    onnx::proto::ModelProto,
    signature::TensorSpec,
    tensor::{DType, TensorData},
};
use compiler::Compiler;
use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

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

    /// Whether a call may be split into several of fewer rows: every input and output leads with the rows, and no row of an
    /// output depends on two rows of an input.
    pub(super) fn is_row_wise(&self) -> bool {
        self.row_wise && self.outputs.iter().all(|output| !matches!(output.slot, Slot::Constant(_)))
    }

    /// Runs every step over inputs that fit the signature. A plan that is row-wise may be given a pool to share the rows.
    pub(super) fn run(&self, signature: &Signature, inputs: &Tensors, pool: Option<&Pool>) -> Result<Tensors> {
        let tensors =
            signature.inputs().iter().map(|spec| inputs.require(&spec.name)).collect::<Result<Vec<&Tensor>>>()?;
        let rows = self.rows.map_or(1, |(input, axis)| tensors[input].shape()[axis]);
        self.check_memory(rows)?;
        let parts = pool.map_or_else(Vec::new, |pool| pool.parts(rows));
        let data = match (pool, parts.is_empty()) {
            (Some(pool), false) => {
                let mut made = pool.run(parts, |part| self.run_part(&tensors, part))?.into_iter();
                let mut data = made.next().unwrap_or_default();
                for part in made {
                    data.iter_mut().zip(part).for_each(|(data, part)| data.append(part));
                }
                data
            }
            _ => self.run_part(&tensors, 0..rows)?,
        };
        let mut outputs = Tensors::new();
        for ((spec, output), data) in signature.outputs().iter().zip(&self.outputs).zip(data) {
            let shape: Vec<usize> = output.shape.iter().map(|length| length.at(rows)).collect();
            outputs.insert(spec.name.as_str(), Tensor::from_data(shape, data)?)?;
        }
        Ok(outputs)
    }

    /// The outputs for some of the rows.
    fn run_part(&self, tensors: &[&Tensor], part: Range<usize>) -> Result<Vec<TensorData>> {
        let rows = part.len();
        let inputs = tensors
            .iter()
            .zip(&self.inputs)
            .map(|(tensor, len)| {
                // An input of fixed length is whole in every part; there is one part then.
                let start = if part.start == 0 { 0 } else { len.at(part.start) };
                (tensor.data(), start..len.at(part.end))
            })
            .collect();
        let mut frame = Frame { rows, inputs, constants: &self.constants, registers: self.take_registers() };
        for step in &self.steps {
            step.kernel.run(&mut frame, &step.inputs, &step.outputs)?;
        }
        let take = |output: &Output| match (output.slot, output.copied) {
            (Slot::Input(index), _) => {
                let (data, range) = &frame.inputs[index];
                data.slice(range.clone())
            }
            (Slot::Constant(index), _) => self.constants[index].data().clone(),
            (Slot::Register(register), true) => frame.registers[register].clone(),
            (Slot::Register(register), false) => {
                std::mem::replace(&mut frame.registers[register], TensorData::zeros(self.registers[register], 0))
            }
        };
        let outputs = self.outputs.iter().map(take).collect();
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
        kept.unwrap_or_else(|| self.registers.iter().map(|of| TensorData::zeros(*of, 0)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        onnx::{
            check,
            graph::{Attribute, Domain, GraphBuilder, Value},
        },
        signature::TensorSpec,
    };

    /// The plan of a graph from rows of three numbers to rows of as many.
    fn plan(build: impl FnOnce(&mut GraphBuilder, Value) -> Value) -> Plan {
        let mut graph = GraphBuilder::new("plan");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [3])).expect("free name");
        let y = build(&mut graph, x);
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [3])).expect("free name");
        let model = graph.finish().expect("a valid graph");
        Plan::compile(&check::decode(&model.bytes).expect("valid"), &model.signature).expect("supported")
    }

    fn shares(graph: &mut GraphBuilder, x: Value, axis: i64) -> Value {
        graph.node(Domain::Onnx, "Softmax", &[x], vec![Attribute::int("axis", axis)])
    }

    #[test]
    fn a_plan_knows_whether_rows_depend_on_each_other() {
        assert!(plan(|graph, x| shares(graph, x, 1)).is_row_wise());
        assert!(!plan(|graph, x| shares(graph, x, 0)).is_row_wise());
        // Less the mean of all rows.
        let centered = plan(|graph, x| {
            let mean = graph.node(Domain::Onnx, "ReduceMean", &[x], vec![Attribute::ints("axes", [0])]);
            graph.node(Domain::Onnx, "Sub", &[x, mean], vec![])
        });
        assert!(!centered.is_row_wise());
        // Rows as columns, and back.
        let flipped = plan(|graph, x| {
            let columns = graph.node(Domain::Onnx, "Transpose", &[x], vec![]);
            graph.node(Domain::Onnx, "Transpose", &[columns], vec![])
        });
        assert!(!flipped.is_row_wise());
        // A shape that is taken from the rows, and given back.
        let reshaped = plan(|graph, x| {
            let shape = graph.node(Domain::Onnx, "Shape", &[x], vec![]);
            graph.node(Domain::Onnx, "Reshape", &[x, shape], vec![])
        });
        assert!(reshaped.is_row_wise());
        // The number of rows as a number.
        let counted = plan(|graph, x| {
            let rows = graph.node(Domain::Onnx, "Size", &[x], vec![]);
            let rows = graph.node(Domain::Onnx, "Cast", &[rows], vec![Attribute::int("to", 1)]);
            graph.node(Domain::Onnx, "Div", &[x, rows], vec![])
        });
        assert!(!counted.is_row_wise());
    }

    #[test]
    fn what_only_constants_make_takes_no_step_and_weights_that_are_laid_out_are_let_go() {
        let plan = plan(|graph, x| {
            let two = graph.initializer(Tensor::vector(vec![2.0_f32]));
            let three = graph.initializer(Tensor::vector(vec![3.0_f32; 3]));
            let six = graph.node(Domain::Onnx, "Mul", &[two, three], vec![]);
            let weights = graph.initializer(Tensor::new([3, 3], vec![1.0_f32; 9]).expect("nine"));
            let product = graph.node(Domain::Onnx, "MatMul", &[x, weights], vec![]);
            graph.node(Domain::Onnx, "Add", &[product, six], vec![])
        });
        assert_eq!(plan.steps.len(), 2);
        let kept: Vec<usize> = plan.constants.iter().map(|constant| constant.len()).filter(|len| *len > 0).collect();
        assert_eq!(kept, [3], "only the sum's other operand: {:?}", plan.constants);
    }

    #[test]
    fn registers_are_used_again_within_a_call_and_between_calls() {
        let plan = plan(|graph, x| {
            (0..8).fold(x, |value, _| {
                let doubled = graph.node(Domain::Onnx, "Add", &[value, value], vec![]);
                graph.node(Domain::Onnx, "Neg", &[doubled], vec![])
            })
        });
        assert_eq!((plan.steps.len(), plan.registers.len()), (16, 2));
        let signature = Signature::new(
            vec![TensorSpec::batched("x", DType::Fp32, [3])],
            vec![TensorSpec::batched("y", DType::Fp32, [3])],
        );
        let inputs = Tensors::new().with("x", Tensor::new([1, 3], vec![1.0_f32, 2.0, -1.0]).expect("three"));
        let outputs = plan.run(&signature.expect("valid"), &inputs.expect("one name"), None).expect("right inputs");
        assert_eq!(outputs.require("y").expect("declared").values::<f32>().expect("FP32"), [256.0, 512.0, -256.0]);
        assert_eq!(plan.frames.lock().expect("no panic").len(), 1);
    }

    #[test]
    fn a_call_that_would_take_too_much_memory_is_refused() {
        let plan = plan(|graph, x| graph.node(Domain::Onnx, "Neg", &[x], vec![]));
        let error = plan.check_memory(1 << 40).expect_err("terabytes");
        assert_eq!(error.kind(), crate::ErrorKind::ResourceExhausted);
    }
}
