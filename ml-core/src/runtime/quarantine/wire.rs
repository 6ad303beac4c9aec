//! What parent and child say to each other: frames with their length before them.

use super::QuarantineLimits;
use crate::{Error, ErrorKind, Result, runtime::selection::reason};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io::Read, num::NonZeroUsize};

/// Before a request.
const ASKS: &[u8; 8] = b"mlq-ask1";
/// Before an answer. Libraries may write to the same pipe, so an answer is searched for.
const SAYS: &[u8; 8] = b"mlq-say1";
/// The longest header of a request.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// What the child is asked to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) limits: QuarantineLimits,
    pub(super) threads: NonZeroUsize,
}

/// The files that follow a request, and how long each is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lengths(Vec<(String, u64)>);

impl Request {
    pub(super) fn encode(&self, files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
        let lengths = Lengths(files.iter().map(|(path, bytes)| ((*path).into(), bytes.len() as u64)).collect());
        let header = serde_json::to_vec(&(self, lengths))
            .map_err(|source| Error::internal("the request has no JSON form").with_source(source))?;
        let mut frame = [ASKS.as_slice(), &length(&header)?, &header].concat();
        files.iter().for_each(|(_, bytes)| frame.extend_from_slice(bytes));
        Ok(frame)
    }

    pub(super) fn decode(from: &mut impl Read) -> Result<(Self, Lengths)> {
        let cut = |source| Error::corrupt("the request is cut short").with_source(source);
        let mut start = [0; ASKS.len() + 4];
        from.read_exact(&mut start).map_err(cut)?;
        let (magic, length) = start.split_at(ASKS.len());
        let length = u32::from_le_bytes(length.try_into().expect("four bytes are left"));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if magic != ASKS || length > MAX_HEADER_BYTES {
            return Err(Error::corrupt("this is no request of a quarantine"));
        }
        let mut header = vec![0; length];
        from.read_exact(&mut header).map_err(cut)?;
        serde_json::from_slice(&header)
            .map_err(|source| Error::corrupt("the request has another form").with_source(source))
    }
}

impl Lengths {
    /// Reads the files, without trusting their lengths before the bytes are there.
    pub(super) fn read(self, from: &mut impl Read) -> Result<BTreeMap<String, Bytes>> {
        let read = |(path, length): (String, u64)| {
            let mut bytes = Vec::new();
            let got = from
                .by_ref()
                .take(length)
                .read_to_end(&mut bytes)
                .map_err(|source| Error::corrupt("the request cannot be read").with_source(source))?;
            if got as u64 == length {
                Ok((path, Bytes::from(bytes)))
            } else {
                Err(Error::corrupt("the request is cut short").with("file", path.escape_debug()))
            }
        };
        self.0.into_iter().map(read).collect()
    }
}

/// What the child found.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The golden outputs came out.
    Passed { report: String },
    /// They did not, or the model was not loaded.
    Refused { kind: String, reason: String },
}

impl Answer {
    pub(super) fn refused(error: &Error) -> Self {
        Self::Refused { kind: error.kind().to_string(), reason: reason(error) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("text has a JSON form");
        let length = length(&body).expect("a report is short");
        [SAYS.as_slice(), &length, &body].concat()
    }

    /// The last whole answer among what the child wrote.
    pub(super) fn find(said: &[u8]) -> Option<Self> {
        let at = said.windows(SAYS.len()).rposition(|window| window == SAYS)?;
        let (length, rest) = said[at + SAYS.len()..].split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        serde_json::from_slice(rest.get(..length)?).ok()
    }

    pub(super) fn into_result(self) -> Result<String> {
        match self {
            Self::Passed { report } => Ok(report),
            Self::Refused { kind, reason } => {
                let kind = KINDS.into_iter().find(|known| known.to_string() == kind).unwrap_or(ErrorKind::Internal);
                Err(Error::new(kind, "the model is refused in quarantine").with("reason", reason))
            }
        }
    }
}

/// The kinds that an error of the child may have.
const KINDS: [ErrorKind; 11] = [
    ErrorKind::Cancelled,
    ErrorKind::Conflict,
    ErrorKind::Corrupt,
    ErrorKind::Internal,
    ErrorKind::InvalidInput,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::ResourceExhausted,
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::Unsupported,
];

fn length(bytes: &[u8]) -> Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(|_| Error::invalid_input("a frame is longer than 4 GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { limits: QuarantineLimits::default(), threads: NonZeroUsize::MIN }
    }

    #[test]
    fn a_request_reads_back_and_every_shorter_one_is_refused() {
        let bytes = request().encode(&[("model.onnx", b"abc"), ("golden.json", b"")]).expect("short");
        let mut from = bytes.as_slice();
        let (read, lengths) = Request::decode(&mut from).expect("whole");
        assert_eq!(read.limits, request().limits);
        let files = lengths.read(&mut from).expect("whole");
        assert_eq!((files["model.onnx"].as_ref(), files["golden.json"].as_ref()), (b"abc".as_slice(), b"".as_slice()));
        for end in 0..bytes.len() {
            let mut from = &bytes[..end];
            let read = Request::decode(&mut from).and_then(|(_, lengths)| lengths.read(&mut from));
            assert_eq!(read.expect_err("cut short").kind(), ErrorKind::Corrupt, "{end}");
        }
    }

    #[test]
    fn a_header_without_end_is_refused_before_it_is_read() {
        let frame = [ASKS.as_slice(), &u32::MAX.to_le_bytes()].concat();
        assert_eq!(Request::decode(&mut frame.as_slice()).expect_err("too long").kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn an_answer_is_found_among_other_output_and_only_when_it_is_whole() {
        for answer in [
            Answer::Passed { report: "native".into() },
            Answer::refused(&Error::corrupt("cyclic").with_source(Error::internal("why"))),
        ] {
            let frame = answer.encode();
            let said = [b"running 1 test\n".as_slice(), &frame, b"\nok\n"].concat();
            assert_eq!(Answer::find(&said), Some(answer));
            assert_eq!(Answer::find(&frame[..frame.len() - 1]), None);
        }
        assert_eq!(Answer::find(b""), None);
        assert_eq!(Answer::find(b"mlq-say1\xff\xff\xff\xffx"), None);
        let refused = Answer::refused(&Error::corrupt("cyclic").with_source(Error::internal("why")));
        let error = refused.into_result().expect_err("refused");
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Corrupt, "the model is refused in quarantine (reason: cyclic: why)".into())
        );
    }
}
