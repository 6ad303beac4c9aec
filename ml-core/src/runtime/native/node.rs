//! A node as the operator families read it: operands resolved, attributes by name and type.

use super::{
    extent::Extent,
    kernel::Slot,
    length::{Length, Type},
};
use crate::{
    Error, Result, Tensor,
    onnx::{
        proto::{AttributeProto, NodeProto, attribute_proto::AttributeType},
        tensor,
    },
    tensor::{DType, Element},
};
use bytes::Bytes;
use std::sync::Arc;

/// What a node reads.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) slot: Slot,
    pub(super) of: Type,
    /// The value itself, where it is the same in every call.
    pub(super) constant: Option<Arc<Tensor>>,
    /// The elements, where they are whole numbers that are known but for the rows of the call.
    pub(super) extents: Option<Arc<[Extent]>>,
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    proto: &'a NodeProto,
    /// The version of the operator's set.
    version: i64,
    operands: Vec<Option<Operand>>,
}

impl<'a> Node<'a> {
    pub(super) fn new(proto: &'a NodeProto, version: i64, mut operands: Vec<Option<Operand>>) -> Self {
        // An input left out at the end is as good as none.
        while operands.last().is_some_and(Option::is_none) {
            operands.pop();
        }
        Self { proto, version, operands }
    }

    pub(super) fn domain(&self) -> &'a str {
        domain(self.proto)
    }

    pub(super) fn op_type(&self) -> &'a str {
        self.proto.op_type()
    }

    /// The version of the operator set that the model imports.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    pub(super) fn outputs(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        self.proto.output.iter().map(String::as_str)
    }

    /// The operands that are there, in order.
    pub(super) fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.operands.iter().flatten()
    }

    /// Inputs up to the last one that is there.
    pub(super) fn input_count(&self) -> usize {
        self.operands.len()
    }

    /// An input that may be left out.
    pub(super) fn input(&self, index: usize) -> Option<&Operand> {
        self.operands.get(index).and_then(Option::as_ref)
    }

    /// An input that has to be there.
    pub(super) fn require(&self, index: usize) -> Result<&Operand> {
        self.input(index).ok_or_else(|| Error::corrupt("the operator lacks an input").with("input", index))
    }

    /// The type of the first input of an operator that takes no other.
    pub(super) fn only(&self) -> Result<&Type> {
        self.at_most(1)?;
        Ok(&self.require(0)?.of)
    }

    /// The types of all inputs of an operator that takes as many as there are.
    pub(super) fn types(&self) -> Result<Vec<&Type>> {
        (0..self.input_count()).map(|index| Ok(&self.require(index)?.of)).collect()
    }

    /// Refuses more inputs than the operator has.
    pub(super) fn at_most(&self, inputs: usize) -> Result<()> {
        if self.operands.len() <= inputs {
            Ok(())
        } else {
            Err(Error::corrupt("the operator takes fewer inputs").with("inputs", self.operands.len()))
        }
    }

    /// An input that has to be known at load, such as one that says a shape; nothing when it is left out.
    pub(super) fn constant(&self, index: usize) -> Result<Option<&Tensor>> {
        let Some(operand) = self.input(index) else { return Ok(None) };
        operand
            .constant
            .as_deref()
            .map(Some)
            .ok_or_else(|| Error::unsupported("the native runtime takes only a constant here").with("input", index))
    }

    /// [`Node::constant`] of whole numbers.
    pub(super) fn constant_ints(&self, index: usize) -> Result<Option<Vec<i64>>> {
        let wrong = |error: Error| Error::corrupt("an input is not of whole numbers").with_source(error);
        self.constant(index)?
            .map(|tensor| match tensor.dtype() {
                DType::Int32 => Ok(tensor.values::<i32>().map_err(wrong)?.iter().copied().map(i64::from).collect()),
                _ => Ok(tensor.values::<i64>().map_err(wrong)?.to_vec()),
            })
            .transpose()
    }

    /// [`Node::constant_ints`] that may depend on the rows of the call.
    pub(super) fn extents(&self, index: usize) -> Result<Option<Vec<Extent>>> {
        if let Some(extents) = self.input(index).and_then(|operand| operand.extents.as_deref()) {
            return Ok(Some(extents.to_vec()));
        }
        Ok(self.constant_ints(index)?.map(|numbers| numbers.into_iter().map(Extent::Number).collect()))
    }

    /// [`Node::constant`] of a single element.
    pub(super) fn constant_scalar<T: Element>(&self, index: usize) -> Result<Option<T>> {
        let wrong = || Error::corrupt("an input is not a single value of the right type").with("input", index);
        self.constant(index)?
            .map(|tensor| match tensor.values::<T>().map_err(|error| wrong().with_source(error))? {
                [value] => Ok(value.clone()),
                _ => Err(wrong()),
            })
            .transpose()
    }

    /// The attributes; one that is not among `known` may change the meaning, so it is refused.
    pub(super) fn attributes(&self, known: &[&str]) -> Result<Attributes<'a>> {
        match self.proto.attribute.iter().find(|attribute| !known.contains(&attribute.name())) {
            Some(attribute) => Err(Error::unsupported("the native runtime does not know this attribute")
                .with("attribute", attribute.name().escape_debug())),
            None => Ok(Attributes(&self.proto.attribute)),
        }
    }
}

/// The operator set of a node; that of ONNX itself has the empty name.
pub(super) fn domain(proto: &NodeProto) -> &str {
    match proto.domain() {
        "ai.onnx" => "",
        domain => domain,
    }
}

/// Refuses a type other than `FP32` of rows by columns, and gives the two.
pub(super) fn matrix(of: &Type) -> Result<(Length, usize)> {
    match of.shape[..] {
        [rows, columns] if of.dtype == DType::Fp32 && !columns.is_by_rows() => Ok((rows, columns.count())),
        // A single row may come without its dimension.
        [columns] if of.dtype == DType::Fp32 && !columns.is_by_rows() => Ok((Length::ONE, columns.count())),
        _ => Err(Error::unsupported("the native runtime takes only FP32 of rows by columns here").with("got", of)),
    }
}

/// The attributes of a node. A missing list is empty; a wrong type is an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    pub(super) fn float(self, name: &str) -> Result<Option<f32>> {
        Ok(self.find(name, AttributeType::Float)?.map(AttributeProto::f))
    }

    pub(super) fn floats(self, name: &str) -> Result<&'a [f32]> {
        Ok(self.find(name, AttributeType::Floats)?.map_or(&[], |attribute| &attribute.floats))
    }

    pub(super) fn int(self, name: &str) -> Result<Option<i64>> {
        Ok(self.find(name, AttributeType::Int)?.map(AttributeProto::i))
    }

    /// Whether an attribute that is zero or one is not zero.
    pub(super) fn flag(self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    pub(super) fn ints(self, name: &str) -> Result<&'a [i64]> {
        Ok(self.find(name, AttributeType::Ints)?.map_or(&[], |attribute| &attribute.ints))
    }

    pub(super) fn string(self, name: &str) -> Result<Option<&'a [u8]>> {
        Ok(self.find(name, AttributeType::String)?.map(AttributeProto::s))
    }

    pub(super) fn strings(self, name: &str) -> Result<&'a [Bytes]> {
        Ok(self.find(name, AttributeType::Strings)?.map_or(&[], |attribute| &attribute.strings))
    }

    pub(super) fn tensor(self, name: &str) -> Result<Option<Tensor>> {
        let found = self.find(name, AttributeType::Tensor)?;
        found.and_then(|attribute| attribute.t.as_ref()).map(tensor::from_proto).transpose()
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.0.iter().any(|attribute| attribute.name() == name)
    }

    fn find(self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>> {
        match self.0.iter().find(|attribute| attribute.name() == name) {
            Some(attribute) if attribute.r#type() != kind => {
                Err(Error::corrupt("an attribute is of another type").with("attribute", name))
            }
            found => Ok(found),
        }
    }
}
