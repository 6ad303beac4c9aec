//! The labels of a classifier: whole numbers or text.

use super::{
    kernel::{Frame, Slot},
    node::Attributes,
};
use crate::{Error, Result, tensor::DType};
use bytes::Bytes;

#[derive(Debug)]
pub(super) enum Labels {
    Ints(Vec<i64>),
    Texts(Vec<Bytes>),
}

impl Labels {
    /// From the two attributes, of which one is there; text goes first, as in ONNX Runtime.
    pub(super) fn of(attributes: Attributes<'_>, ints: &str, texts: &str) -> Result<Self> {
        let (ints, texts) = (attributes.ints(ints)?, attributes.strings(texts)?);
        if !texts.is_empty() {
            Ok(Self::Texts(texts.to_vec()))
        } else if !ints.is_empty() {
            Ok(Self::Ints(ints.to_vec()))
        } else {
            Err(Error::corrupt("the operator lacks its labels"))
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::Ints(_) => DType::Int64,
            Self::Texts(_) => DType::Bytes,
        }
    }

    /// Writes the labels of classes, one a row.
    pub(super) fn write(&self, frame: &mut Frame<'_>, slot: Slot, classes: impl Iterator<Item = usize>) {
        match self {
            Self::Ints(labels) => {
                let mut out = frame.take_cleared(slot);
                out.extend(classes.map(|class| labels[class]));
                frame.put(slot, out);
            }
            Self::Texts(labels) => {
                let mut out = frame.take_cleared(slot);
                out.extend(classes.map(|class| labels[class].clone()));
                frame.put(slot, out);
            }
        }
    }
}
