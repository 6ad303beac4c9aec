//! Resolves a graph: names to slots, lengths to numbers of rows, nodes of constants to constants.

mod infer;

use super::{
    super::{
        extent,
        kernel::{Frame, Lowered, Slot, Work},
        length::{Length, Type},
        node::{self, Node, Operand},
        operators,
    },
    MAX_CALL_BYTES, Output, Plan, Step,
};
use crate::{
    Error, Result, Signature, Tensor,
    onnx::{
        proto::{GraphProto, ModelProto, NodeProto, TensorProto},
        tensor,
    },
    signature::{Dim, TensorSpec},
    tensor::{DType, TensorData},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

/// Versions of the operator sets in which the operators known here have their meaning.
const OPSETS: [(&str, std::ops::RangeInclusive<i64>); 2] = [("", 1..=25), ("ai.onnx.ml", 1..=5)];

/// Memory for all that is computed from constants at load. A small file can ask for any amount.
const MAX_FOLDED_BYTES: usize = 256 << 20;

pub(super) struct Compiler<'a> {
    graph: &'a GraphProto,
    versions: HashMap<&'a str, i64>,
    /// Constants of the graph, which are decoded when a node reads them.
    initializers: HashMap<&'a str, &'a TensorProto>,
    operands: HashMap<&'a str, Operand>,
    /// How often each name is read, by nodes and as an output of the graph.
    reads: HashMap<&'a str, usize>,
    /// Reads still to come of each register.
    pending: HashMap<usize, usize>,
    registers: Vec<Register>,
    /// Registers that have had their last reader.
    free: HashMap<DType, Vec<usize>>,
    constants: Vec<Arc<Tensor>>,
    folded_bytes: usize,
    steps: Vec<Step>,
    row_wise: bool,
}

/// A register with the memory of the largest value it holds, by row and besides.
struct Register {
    dtype: DType,
    bytes: (usize, usize),
}

impl<'a> Compiler<'a> {
    pub(super) fn new(model: &'a ModelProto) -> Result<Self> {
        let graph = model.graph.as_ref().ok_or_else(|| Error::corrupt("the model has no graph"))?;
        if !graph.sparse_initializer.is_empty() {
            return Err(Error::unsupported("the native runtime takes no sparse constants"));
        }
        let mut reads = HashMap::new();
        let outputs = graph.output.iter().map(|output| output.name());
        for name in graph.node.iter().flat_map(|node| &node.input).map(String::as_str).chain(outputs) {
            *reads.entry(name).or_default() += 1;
        }
        Ok(Self {
            graph,
            versions: versions(model)?,
            initializers: graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect(),
            operands: HashMap::new(),
            reads,
            pending: HashMap::new(),
            registers: Vec::new(),
            free: HashMap::new(),
            constants: Vec::new(),
            folded_bytes: 0,
            steps: Vec::new(),
            row_wise: true,
        })
    }

    pub(super) fn compile(mut self, signature: &'a Signature) -> Result<Plan> {
        let rows = self.define_inputs(signature.inputs())?;
        let graph = self.graph;
        for proto in &graph.node {
            self.lower(proto).map_err(|error| {
                let set = if node::domain(proto).is_empty() { "ai.onnx" } else { node::domain(proto) };
                error
                    .with("op", format!("{}.{}", set.escape_debug(), proto.op_type().escape_debug()))
                    .with("node", proto.name().escape_debug())
            })?;
        }
        let outputs = signature
            .outputs()
            .iter()
            .map(|spec| self.output(spec, rows.as_ref().map(|(name, ..)| *name)))
            .collect::<Result<Vec<_>>>()?;
        self.row_wise &= outputs.iter().all(|output| output.of.leads_with_rows());
        let inputs = signature.inputs().iter().map(|spec| self.operands[spec.name.as_str()].of.len());
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let slots: Vec<Slot> = outputs.iter().map(|output| output.slot).collect();
        let outputs = outputs
            .into_iter()
            .enumerate()
            .map(|(at, Operand { slot, of, .. })| Output {
                slot,
                shape: of.shape,
                copied: slots[at + 1..].contains(&slot),
            })
            .collect();
        self.drop_unread_constants(&slots);
        let bytes = self.registers.iter().fold((0_usize, 0_usize), |(by_row, fixed), register| {
            (by_row.saturating_add(register.bytes.0), fixed.saturating_add(register.bytes.1))
        });
        if bytes.0.saturating_add(bytes.1) > MAX_CALL_BYTES {
            return Err(Error::unsupported("the native runtime takes no model of so large values")
                .with("bytes_of_a_row", bytes.0.saturating_add(bytes.1))
                .with("limit", MAX_CALL_BYTES));
        }
        Ok(Plan {
            steps: self.steps,
            constants: self.constants,
            inputs,
            outputs,
            registers: self.registers.iter().map(|register| register.dtype).collect(),
            rows: rows.map(|(_, input, axis)| (input, axis)),
            bytes,
            row_wise: self.row_wise,
            frames: Mutex::default(),
        })
    }

    /// Computes the outputs of a graph that reads only constants.
    pub(super) fn evaluate(mut self) -> Result<Vec<Tensor>> {
        let graph = self.graph;
        graph.node.iter().try_for_each(|proto| self.lower(proto))?;
        let constant = |operand: Option<Operand>| operand.and_then(|operand| operand.constant);
        let outputs = graph.output.iter().map(|output| {
            let tensor = constant(self.operand(output.name())?);
            tensor.map(Arc::unwrap_or_clone).ok_or_else(|| Error::unsupported("an output is not constant"))
        });
        outputs.collect()
    }

    /// Gives the name of the dimension that is as long as the rows, and the first input and axis that have it.
    fn define_inputs(&mut self, inputs: &'a [TensorSpec]) -> Result<Option<(&'a str, usize, usize)>> {
        let mut rows: Option<(&'a str, usize, usize)> = None;
        for (index, spec) in inputs.iter().enumerate() {
            let mut shape = Vec::with_capacity(spec.shape.len());
            for (axis, dim) in spec.shape.iter().enumerate() {
                shape.push(match dim {
                    Dim::Fixed(length) => Length::fixed(*length),
                    Dim::Named(name) if *rows.get_or_insert((name, index, axis)).0 == **name => Length::ROWS,
                    Dim::Named(name) => {
                        return Err(Error::unsupported("the native runtime takes only one dimension without a length")
                            .with("tensor", spec.name.escape_debug())
                            .with("dimension", name.escape_debug()));
                    }
                });
            }
            let of = Type::new(spec.dtype, shape);
            of.check().map_err(|error| error.with("tensor", spec.name.escape_debug()))?;
            self.row_wise &= of.leads_with_rows();
            self.operands.insert(&spec.name, Operand { slot: Slot::Input(index), of, constant: None, extents: None });
        }
        self.row_wise &= rows.is_some();
        Ok(rows)
    }

    fn operand(&mut self, name: &'a str) -> Result<Option<Operand>> {
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(operand) = self.operands.get(name) {
            return Ok(Some(operand.clone()));
        }
        let proto = self
            .initializers
            .get(name)
            .ok_or_else(|| Error::corrupt("a value is used before it is made").with("value", name.escape_debug()))?;
        let operand = self.constant(tensor::from_proto(proto)?);
        self.operands.insert(name, operand.clone());
        Ok(Some(operand))
    }

    fn constant(&mut self, tensor: Tensor) -> Operand {
        let tensor = Arc::new(tensor);
        self.constants.push(Arc::clone(&tensor));
        Operand {
            slot: Slot::Constant(self.constants.len() - 1),
            of: Type::fixed(tensor.dtype(), tensor.shape()),
            constant: Some(tensor),
            extents: None,
        }
    }

    fn lower(&mut self, proto: &'a NodeProto) -> Result<()> {
        let domain = node::domain(proto);
        let version = *self.versions.get(domain).ok_or_else(|| {
            Error::corrupt("the model does not import the operator set").with("domain", domain.escape_debug())
        })?;
        let mut operands = proto.input.iter().map(|name| self.operand(name)).collect::<Result<Vec<_>>>()?;
        if let (true, Some(Some(first))) = (operators::computes_in_floats(proto), operands.first_mut())
            && !matches!(first.of.dtype, DType::Fp32 | DType::Bytes)
        {
            let lowered = operators::to_floats(&first.of)?;
            let floats = self.place(&[1], std::slice::from_ref(first), lowered)?;
            *first = floats.into_iter().next().ok_or_else(|| Error::internal("a cast without output"))?;
        }
        let node = Node::new(proto, version, operands);
        let followed = extent::follow(&node);
        let lowered = match &followed {
            Some((extents, shape)) => extent::lower(extents, shape),
            None => operators::lower(&node)?,
        };
        let reads: Vec<usize> = node.outputs().map(|name| self.reads.get(name).copied().unwrap_or(0)).collect();
        let inputs: Vec<Operand> = node.operands().cloned().collect();
        let row_wise = self.row_wise;
        let mut outputs = self.place(&reads, &inputs, lowered)?;
        if let (Some((extents, _)), [output]) = (followed, &mut outputs[..]) {
            output.extents = Some(extents.into());
            // A shape is no row. Whoever reads it during a call mixes rows, which is seen there.
            self.row_wise = row_wise;
        }
        self.operands.extend(node.outputs().zip(outputs));
        Ok(())
    }

    /// Gives slots to the outputs of a node, which are read so often, and takes back those of what it read last.
    fn place(&mut self, reads: &[usize], inputs: &[Operand], lowered: Lowered) -> Result<Vec<Operand>> {
        let constant = inputs.iter().all(|input| input.constant.is_some());
        let outputs = match lowered {
            Lowered::Constants(tensors) => self.constants(tensors)?,
            Lowered::Alias(of) => {
                of.check()?;
                let first = inputs.first().ok_or_else(|| Error::internal("an alias of nothing"))?;
                match &first.constant {
                    Some(tensor) => {
                        let data = tensor.data().clone();
                        self.constants(vec![Tensor::from_data(known(&of)?, data)?])?
                    }
                    None => {
                        self.row_wise &= first.of.leads_with_rows() && of.leads_with_rows();
                        if let Slot::Register(register) = first.slot {
                            *self.pending.entry(register).or_default() += reads.iter().sum::<usize>();
                        }
                        vec![Operand { slot: first.slot, of, constant: None, extents: None }]
                    }
                }
            }
            Lowered::Step(work) if constant => self.fold(inputs, &work)?,
            Lowered::Step(work) => self.step(reads, inputs, work)?,
        };
        if reads.len() > outputs.len() {
            return Err(Error::corrupt("the node has too many outputs").with("outputs", reads.len()));
        }
        inputs.iter().for_each(|input| self.release(input.slot, 1));
        // An output that nobody reads frees its register at once.
        outputs.iter().for_each(|output| self.release(output.slot, 0));
        Ok(outputs)
    }

    fn step(&mut self, reads: &[usize], inputs: &[Operand], work: Work) -> Result<Vec<Operand>> {
        let Work { kernel, outputs, in_place, reads: read, mixes_rows } = work;
        let wise = |of: &Type| of.leads_with_rows();
        let varies = inputs.iter().take(read).filter(|input| input.constant.is_none());
        self.row_wise &= !mixes_rows && varies.map(|input| &input.of).all(wise) && outputs.iter().all(wise);
        let mut reused = match inputs.first() {
            Some(Operand { slot: Slot::Register(register), .. })
                if in_place && self.pending.get(register) == Some(&1) =>
            {
                Some(*register)
            }
            _ => None,
        };
        let mut placed = Vec::with_capacity(outputs.len());
        for (index, of) in outputs.into_iter().enumerate() {
            of.check()?;
            let register = reused.take().unwrap_or_else(|| self.take_register(of.dtype));
            let (by_row, fixed) = of.bytes()?;
            let bytes = &mut self.registers[register].bytes;
            *bytes = (bytes.0.max(by_row), bytes.1.max(fixed));
            *self.pending.entry(register).or_default() += reads.get(index).copied().unwrap_or(0);
            placed.push(Operand { slot: Slot::Register(register), of, constant: None, extents: None });
        }
        self.steps.push(Step {
            kernel,
            inputs: inputs.iter().take(read).map(|input| input.slot).collect(),
            outputs: placed.iter().map(|output| output.slot).collect(),
        });
        Ok(placed)
    }

    /// Computes at load what no input changes.
    fn fold(&mut self, inputs: &[Operand], work: &Work) -> Result<Vec<Operand>> {
        for of in &work.outputs {
            of.check()?;
            self.count_folded(of)?;
        }
        let mut frame = Frame {
            rows: 1,
            inputs: Vec::new(),
            constants: &self.constants,
            registers: work.outputs.iter().map(|of| TensorData::zeros(of.dtype, 0)).collect(),
        };
        let reads: Vec<Slot> = inputs.iter().take(work.reads).map(|input| input.slot).collect();
        let writes: Vec<Slot> = (0..work.outputs.len()).map(Slot::Register).collect();
        work.kernel
            .run(&mut frame, &reads, &writes)
            .map_err(|error| Error::corrupt("a constant of the graph cannot be computed").with_source(error))?;
        let computed: Vec<TensorData> = frame.registers;
        let tensors = work.outputs.iter().zip(computed).map(|(of, data)| Tensor::from_data(known(of)?, data));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        Ok(tensors.into_iter().map(|tensor| self.constant(tensor)).collect())
    }

    fn constants(&mut self, tensors: Vec<Tensor>) -> Result<Vec<Operand>> {
        tensors
            .into_iter()
            .map(|tensor| {
                self.count_folded(&Type::fixed(tensor.dtype(), tensor.shape()))?;
                Ok(self.constant(tensor))
            })
            .collect()
    }

    fn count_folded(&mut self, of: &Type) -> Result<()> {
        let (by_row, fixed) = of.bytes()?;
        self.folded_bytes = self.folded_bytes.saturating_add(by_row).saturating_add(fixed);
        if self.folded_bytes > MAX_FOLDED_BYTES {
            return Err(Error::unsupported("the native runtime computes no constants of so many bytes")
                .with("limit", MAX_FOLDED_BYTES));
        }
        Ok(())
    }

    fn take_register(&mut self, dtype: DType) -> usize {
        self.free.get_mut(&dtype).and_then(Vec::pop).unwrap_or_else(|| {
            self.registers.push(Register { dtype, bytes: (0, 0) });
            self.registers.len() - 1
        })
    }

    fn release(&mut self, slot: Slot, times: usize) {
        let Slot::Register(register) = slot else { return };
        let Some(pending) = self.pending.get_mut(&register) else { return };
        *pending = pending.saturating_sub(times);
        if *pending == 0 {
            self.pending.remove(&register);
            self.free.entry(self.registers[register].dtype).or_default().push(register);
        }
    }

    fn output(&mut self, spec: &'a TensorSpec, rows: Option<&str>) -> Result<Operand> {
        let operand = self.operand(&spec.name)?.ok_or_else(|| Error::corrupt("an output has no name"))?;
        let declares = |(axis, (dim, length)): (usize, (&Dim, &Length))| match dim {
            Dim::Fixed(fixed) => length.known() == Some(*fixed),
            // What an exporter calls the first dimension of an output, or leaves without a name, is the rows.
            Dim::Named(name) if Some(name.as_str()) == rows || (axis == 0 && rows.is_some()) => *length == Length::ROWS,
            Dim::Named(_) => true,
        };
        let shape = &operand.of.shape;
        let declared = shape.len() == spec.shape.len() && spec.shape.iter().zip(shape).enumerate().all(declares);
        if spec.dtype != operand.of.dtype || !declared {
            return Err(Error::corrupt("an output is not what the graph declares")
                .with("tensor", spec.name.escape_debug())
                .with("got", &operand.of));
        }
        Ok(operand)
    }

    /// Lets go of what was needed only to resolve the graph, such as weights that a kernel has laid out for itself.
    fn drop_unread_constants(&mut self, outputs: &[Slot]) {
        let read: HashSet<Slot> = self.steps.iter().flat_map(|step| &step.inputs).chain(outputs).copied().collect();
        let nothing = Arc::new(Tensor::vector(Vec::<u8>::new()));
        for (index, constant) in self.constants.iter_mut().enumerate() {
            if !read.contains(&Slot::Constant(index)) {
                *constant = Arc::clone(&nothing);
            }
        }
    }
}

/// The lengths of a shape that does not depend on the rows.
fn known(of: &Type) -> Result<Vec<usize>> {
    let lengths = of.shape.iter().map(|length| length.known());
    lengths.collect::<Option<_>>().ok_or_else(|| Error::internal("a constant depends on the rows"))
}

fn versions(model: &ModelProto) -> Result<HashMap<&str, i64>> {
    if !model.functions.is_empty() {
        return Err(Error::unsupported("the native runtime takes no model-local functions"));
    }
    let mut versions = HashMap::new();
    for import in &model.opset_import {
        let domain = if import.domain() == "ai.onnx" { "" } else { import.domain() };
        let known = OPSETS.iter().find(|(name, _)| *name == domain);
        if known.is_some_and(|(_, versions)| !versions.contains(&import.version())) {
            return Err(Error::unsupported("the native runtime does not know this version of an operator set")
                .with("domain", import.domain().escape_debug())
                .with("version", import.version()));
        }
        versions.insert(domain, import.version());
    }
    Ok(versions)
}
