//! A graph with every name and shape resolved: steps over numbered registers.
//!
//! Every value is a matrix of `rows` by a width known at load. Registers whose value has had its last reader are used
//! again within the call; those of outputs are moved out at its end.

use super::{
    elementwise, encode,
    kernel::{Frame, Kernel, Lowered, Slot, Type},
    linear,
    node::{Node, Operand},
    shape, trees,
};
use crate::{
    Error, Result, Signature, Tensor, Tensors,
    onnx::proto::{GraphProto, ModelProto},
    signature::{Dim, TensorSpec},
    tensor::{DType, TensorData, element_count},
};
use std::collections::{HashMap, VecDeque};

/// Versions of the operator sets in which the operators known here mean the same.
const OPSETS: [(&str, std::ops::RangeInclusive<i64>); 2] = [("", 7..=25), ("ai.onnx.ml", 1..=5)];

/// Columns that a value may have. A small file can declare any number, and double it with every node.
const MAX_WIDTH: usize = 1 << 20;

#[derive(Debug)]
struct Step {
    kernel: Box<dyn Kernel>,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
}

#[derive(Debug)]
struct Output {
    slot: Slot,
    inner: Vec<usize>,
    /// Whether a later output is the same value, so that this one is a copy.
    copied: bool,
}

#[derive(Debug)]
pub(super) struct Plan {
    steps: Vec<Step>,
    outputs: Vec<Output>,
    float_registers: usize,
    int_registers: usize,
}

impl Plan {
    /// Resolves a checked graph.
    pub(super) fn compile(model: &ModelProto, signature: &Signature) -> Result<Self> {
        check_opsets(model)?;
        let graph = model.graph.as_ref().ok_or_else(|| Error::corrupt("the model has no graph"))?;
        if !graph.sparse_initializer.is_empty() {
            return Err(Error::unsupported("the native runtime takes no sparse constants"));
        }
        let mut compiler = Compiler::new(graph);
        let rows = compiler.define_inputs(signature)?;
        let mut steps = Vec::new();
        for proto in &graph.node {
            let node = Node::new(proto, |name| compiler.operand(name))?;
            let named = |error: Error| error.with("op", node.op()).with("node", proto.name().escape_debug());
            let lowered = lower(&node).map_err(named)?;
            steps.extend(compiler.place(&node, lowered).map_err(named)?);
        }
        let outputs =
            signature.outputs().iter().map(|spec| compiler.output(spec, &rows)).collect::<Result<Vec<_>>>()?;
        let slots: Vec<Slot> = outputs.iter().map(|(slot, _)| *slot).collect();
        let outputs = outputs
            .into_iter()
            .enumerate()
            .map(|(at, (slot, inner))| Output { slot, inner, copied: slots[at + 1..].contains(&slot) })
            .collect();
        Ok(Self { steps, outputs, float_registers: compiler.floats.made, int_registers: compiler.ints.made })
    }

    /// Runs every step over inputs that fit the signature.
    pub(super) fn run(&self, signature: &Signature, inputs: &Tensors) -> Result<Tensors> {
        let data = signature
            .inputs()
            .iter()
            .map(|spec| inputs.require(&spec.name).map(Tensor::data))
            .collect::<Result<Vec<_>>>()?;
        let mut frame = Frame {
            rows: inputs.rows(),
            inputs: data,
            floats: vec![Vec::new(); self.float_registers],
            ints: vec![Vec::new(); self.int_registers],
        };
        for step in &self.steps {
            step.kernel.run(&mut frame, &step.inputs, &step.outputs)?;
        }
        let mut outputs = Tensors::new();
        for (spec, output) in signature.outputs().iter().zip(&self.outputs) {
            let data = match (output.slot, output.copied) {
                (Slot::Input(index), _) => frame.inputs[index].clone(),
                (Slot::Floats(_), true) => TensorData::Fp32(frame.floats(output.slot).to_vec()),
                (Slot::Ints(_), true) => TensorData::Int64(frame.ints(output.slot).to_vec()),
                (Slot::Floats(_), false) => TensorData::Fp32(frame.take_floats(output.slot)),
                (Slot::Ints(_), false) => TensorData::Int64(frame.take_ints(output.slot)),
            };
            let mut shape = Vec::with_capacity(output.inner.len() + 1);
            shape.push(frame.rows);
            shape.extend_from_slice(&output.inner);
            outputs.insert(spec.name.as_str(), Tensor::from_data(shape, data)?)?;
        }
        Ok(outputs)
    }
}

/// The operators, one family a file.
fn lower(node: &Node<'_>) -> Result<Lowered> {
    match (node.domain(), node.op_type()) {
        ("ai.onnx.ml", "Imputer") => elementwise::imputer(node),
        ("ai.onnx.ml", "Scaler") => elementwise::scaler(node),
        ("", "Sigmoid") => elementwise::sigmoid(node),
        ("ai.onnx.ml", "LabelEncoder") => encode::label_encoder(node),
        ("ai.onnx.ml", "OneHotEncoder") => encode::one_hot_encoder(node),
        ("ai.onnx.ml", "LinearRegressor") => linear::regressor(node),
        ("ai.onnx.ml", "LinearClassifier") => linear::classifier(node),
        ("", "Gemm") => linear::gemm(node),
        ("", "Mul") => elementwise::mul(node),
        ("ai.onnx.ml", "TreeEnsembleRegressor") => trees::regressor(node),
        ("ai.onnx.ml", "TreeEnsembleClassifier") => trees::classifier(node),
        ("", "Cast") => shape::cast(node),
        ("", "Concat") => shape::concat(node),
        ("", "Identity") => shape::identity(node),
        ("", "Reshape") => shape::reshape(node),
        _ => Err(Error::unsupported("the native runtime does not know this operator")),
    }
}

fn check_opsets(model: &ModelProto) -> Result<()> {
    if !model.functions.is_empty() {
        return Err(Error::unsupported("the native runtime takes no model-local functions"));
    }
    for import in &model.opset_import {
        let domain = if import.domain() == "ai.onnx" { "" } else { import.domain() };
        let known = OPSETS.iter().find(|(name, _)| *name == domain);
        if known.is_some_and(|(_, versions)| !versions.contains(&import.version())) {
            return Err(Error::unsupported("the native runtime does not know this version of an operator set")
                .with("domain", import.domain().escape_debug())
                .with("version", import.version()));
        }
    }
    Ok(())
}

/// Registers of one kind: how many there are, and which have had their last reader.
#[derive(Debug, Default)]
struct Registers {
    made: usize,
    free: Vec<usize>,
}

impl Registers {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }
}

struct Compiler<'a> {
    operands: HashMap<&'a str, Operand<'a>>,
    /// How often each name is read, by nodes and as an output of the graph.
    reads: HashMap<&'a str, usize>,
    /// Reads still to come of each register.
    pending: HashMap<Slot, usize>,
    floats: Registers,
    ints: Registers,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let mut reads = HashMap::new();
        let outputs = graph.output.iter().map(|output| output.name());
        for name in graph.node.iter().flat_map(|node| &node.input).map(String::as_str).chain(outputs) {
            *reads.entry(name).or_default() += 1;
        }
        let operands = graph.initializer.iter().map(|tensor| (tensor.name(), Operand::Constant(tensor))).collect();
        Self { operands, reads, pending: HashMap::new(), floats: Registers::default(), ints: Registers::default() }
    }

    /// Gives the dimension of the rows, which all inputs share.
    fn define_inputs(&mut self, signature: &'a Signature) -> Result<Dim> {
        let mut rows = None;
        for (index, spec) in signature.inputs().iter().enumerate() {
            let unsupported = || {
                Error::unsupported("the native runtime takes inputs of rows by fixed dimensions")
                    .with("tensor", spec.name.escape_debug())
            };
            let (first, inner) = spec.shape.split_first().ok_or_else(unsupported)?;
            if rows.get_or_insert_with(|| first.clone()) != first {
                return Err(unsupported());
            }
            let inner = inner.iter().map(fixed).collect::<Option<Vec<_>>>().ok_or_else(unsupported)?;
            check_width(&inner)?;
            self.define(&spec.name, Slot::Input(index), Type::new(spec.dtype, inner));
        }
        rows.ok_or_else(|| Error::unsupported("the native runtime takes models with inputs"))
    }

    fn operand(&self, name: &str) -> Option<Operand<'a>> {
        self.operands.get(name).cloned()
    }

    fn define(&mut self, name: &'a str, slot: Slot, of: Type) {
        *self.pending.entry(slot).or_default() += self.reads.get(name).copied().unwrap_or(0);
        self.operands.insert(name, Operand::Value(slot, of));
    }

    /// Gives registers to what a node makes, and takes back those it read last.
    fn place(&mut self, node: &Node<'a>, lowered: Lowered) -> Result<Option<Step>> {
        let inputs: Vec<Slot> = node.slots().collect();
        let mut names = node.outputs();
        let step = match lowered {
            Lowered::Alias(of) => {
                if let (Some(name), Some(&slot)) = (names.next(), inputs.first()) {
                    self.define(name, slot, of);
                }
                None
            }
            Lowered::Step { kernel, outputs, in_place } => {
                if names.len() > outputs.len() {
                    return Err(Error::corrupt("a node has too many outputs"));
                }
                let mut reused: VecDeque<Slot> = VecDeque::new();
                if let (true, Some(&slot)) = (in_place, inputs.first())
                    && !matches!(slot, Slot::Input(_))
                    && self.pending.get(&slot) == Some(&1)
                {
                    reused.push_back(slot);
                }
                let mut slots = Vec::with_capacity(outputs.len());
                for of in outputs {
                    check_width(&of.inner)?;
                    let slot = match (reused.pop_front(), of.dtype) {
                        (Some(slot), _) => slot,
                        (None, DType::Int64) => Slot::Ints(self.ints.take()),
                        (None, _) => Slot::Floats(self.floats.take()),
                    };
                    slots.push(slot);
                    self.define(names.next().unwrap_or(""), slot, of);
                }
                Some(Step { kernel, inputs: inputs.clone(), outputs: slots })
            }
        };
        inputs.iter().for_each(|&slot| self.read(slot, 1));
        // An output that nobody reads frees its register at once.
        if let Some(step) = &step {
            step.outputs.iter().for_each(|&slot| self.read(slot, 0));
        }
        Ok(step)
    }

    fn read(&mut self, slot: Slot, times: usize) {
        let Some(pending) = self.pending.get_mut(&slot) else { return };
        *pending = pending.saturating_sub(times);
        if *pending == 0 {
            self.pending.remove(&slot);
            match slot {
                Slot::Floats(register) => self.floats.free.push(register),
                Slot::Ints(register) => self.ints.free.push(register),
                Slot::Input(_) => {}
            }
        }
    }

    fn output(&self, spec: &TensorSpec, rows: &Dim) -> Result<(Slot, Vec<usize>)> {
        let Some(Operand::Value(slot, of)) = self.operands.get(spec.name.as_str()) else {
            return Err(Error::unsupported("the native runtime gives no constant outputs")
                .with("tensor", spec.name.escape_debug()));
        };
        let declared = spec.shape.split_first().is_some_and(|(first, inner)| {
            (matches!(first, Dim::Named(_)) || first == rows)
                && inner.len() == of.inner.len()
                && inner.iter().zip(&of.inner).all(|(dim, &length)| fixed(dim).is_none_or(|fixed| fixed == length))
        });
        if spec.dtype != of.dtype || !declared {
            return Err(Error::corrupt("an output is not what the graph declares")
                .with("tensor", spec.name.escape_debug())
                .with("got", format!("{} [{rows}, {:?}]", of.dtype, of.inner)));
        }
        Ok((*slot, of.inner.clone()))
    }
}

fn check_width(inner: &[usize]) -> Result<()> {
    match element_count(inner) {
        Ok(width) if width <= MAX_WIDTH => Ok(()),
        _ => Err(Error::unsupported("the native runtime takes no value of so many columns").with("limit", MAX_WIDTH)),
    }
}

fn fixed(dim: &Dim) -> Option<usize> {
    if let Dim::Fixed(length) = dim { Some(*length) } else { None }
}
