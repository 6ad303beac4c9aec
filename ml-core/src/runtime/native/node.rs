//! A node as the operator families read it: operands resolved, attributes by name and type.

use super::kernel::{Slot, Type};
use crate::{
    Error, Result, Tensor,
    onnx::{
        proto::{AttributeProto, NodeProto, TensorProto, attribute_proto::AttributeType},
        tensor,
    },
    tensor::DType,
};
use bytes::Bytes;

/// What a node reads.
#[derive(Debug, Clone)]
pub(super) enum Operand<'a> {
    Value(Slot, Type),
    Constant(&'a TensorProto),
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    proto: &'a NodeProto,
    operands: Vec<Operand<'a>>,
}

impl<'a> Node<'a> {
    pub(super) fn new(proto: &'a NodeProto, operand: impl Fn(&str) -> Option<Operand<'a>>) -> Result<Self> {
        let operands = proto
            .input
            .iter()
            .map(|name| {
                operand(name).ok_or_else(|| {
                    Error::unsupported("the native runtime takes no inputs left out")
                        .with("op", proto.op_type().escape_debug())
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { proto, operands })
    }

    pub(super) fn domain(&self) -> &'a str {
        match self.proto.domain() {
            "ai.onnx" => "",
            domain => domain,
        }
    }

    pub(super) fn op_type(&self) -> &'a str {
        self.proto.op_type()
    }

    /// The operator with its set, for messages.
    pub(super) fn op(&self) -> String {
        let domain = if self.domain().is_empty() { "ai.onnx" } else { self.domain() };
        format!("{}.{}", domain.escape_debug(), self.op_type().escape_debug())
    }

    pub(super) fn outputs(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        self.proto.output.iter().map(String::as_str)
    }

    /// The slots read, without constants.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.operands.iter().filter_map(|operand| match operand {
            Operand::Value(slot, _) => Some(*slot),
            Operand::Constant(_) => None,
        })
    }

    /// The types of all operands, when none is a constant.
    pub(super) fn types(&self) -> Result<Vec<&Type>> {
        self.operands
            .iter()
            .map(|operand| match operand {
                Operand::Value(_, of) => Ok(of),
                Operand::Constant(_) => Err(Error::unsupported("the native runtime takes no constant here")),
            })
            .collect()
    }

    /// The only operand.
    pub(super) fn only(&self) -> Result<&Type> {
        match *self.types()? {
            [of] => Ok(of),
            _ => Err(Error::corrupt("the operator takes one input").with("inputs", self.operands.len())),
        }
    }

    /// The type of the first operand, and the constants that follow it.
    pub(super) fn with_constants(&self) -> Result<(&Type, Vec<Tensor>)> {
        let Some((Operand::Value(_, first), rest)) = self.operands.split_first() else {
            return Err(Error::unsupported("the native runtime takes no constant here"));
        };
        let constant = |operand: &Operand<'_>| match operand {
            Operand::Constant(proto) => tensor::from_proto(proto),
            Operand::Value(..) => Err(Error::unsupported("the native runtime takes only a constant here")),
        };
        Ok((first, rest.iter().map(constant).collect::<Result<_>>()?))
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

/// Refuses a type other than `FP32` of one inner dimension, and gives that dimension.
pub(super) fn matrix(of: &Type) -> Result<usize> {
    match of.inner[..] {
        [width] if of.dtype == DType::Fp32 => Ok(width),
        _ => Err(Error::unsupported("the native runtime takes only FP32 of two dimensions here")
            .with("got", format!("{} of {}", of.dtype, of.inner.len() + 1))),
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

    pub(super) fn ints(self, name: &str) -> Result<&'a [i64]> {
        Ok(self.find(name, AttributeType::Ints)?.map_or(&[], |attribute| &attribute.ints))
    }

    pub(super) fn string(self, name: &str) -> Result<Option<&'a [u8]>> {
        Ok(self.find(name, AttributeType::String)?.map(AttributeProto::s))
    }

    pub(super) fn strings(self, name: &str) -> Result<&'a [Bytes]> {
        Ok(self.find(name, AttributeType::Strings)?.map_or(&[], |attribute| &attribute.strings))
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
