//! Which provider a session gave its nodes to, and the memory it has taken: both only to be had from the C interface.
#![expect(
    unsafe_code,
    reason = "the binding has no safe call for these two questions; each pointer is checked or documented"
)]

use crate::runtime::Placement;
use ::ort::{
    AsPointer,
    session::Session,
    sys::{OrtEpAssignedSubgraph, OrtKeyValuePairs},
};
use std::{
    ffi::{CStr, c_char},
    ptr, slice,
};

/// The entry of the session's configuration without which the library records no assignment.
pub(super) const RECORD: &str = "session.record_ep_graph_assignment_info";

/// Nodes by provider, in the order of their first node.
pub(super) fn placements(session: &Session) -> Result<Vec<Placement>, ::ort::Error> {
    let api = ::ort::api();
    let mut subgraphs: *const *const OrtEpAssignedSubgraph = ptr::null();
    let mut count = 0;
    // SAFETY: the session is alive, and both places are written or left as they are.
    check(unsafe { (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &raw mut subgraphs, &raw mut count) })?;
    let mut placements: Vec<Placement> = Vec::new();
    // SAFETY: on success the library gives so many subgraphs, which live as long as the session.
    for &subgraph in unsafe { elements(subgraphs, count) } {
        let mut name: *const c_char = ptr::null();
        let mut nodes = ptr::null();
        let mut count = 0;
        // SAFETY: the subgraph is one of the session's, and the places are written or left as they are.
        check(unsafe { (api.EpAssignedSubgraph_GetEpName)(subgraph, &raw mut name) })?;
        // SAFETY: as above.
        check(unsafe { (api.EpAssignedSubgraph_GetNodes)(subgraph, &raw mut nodes, &raw mut count) })?;
        if name.is_null() {
            continue;
        }
        // SAFETY: the name is text with a zero at its end that lives as long as the session.
        let library = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        let provider = super::provider::short_name(&library);
        match placements.iter_mut().find(|placement| placement.provider == provider) {
            Some(placement) => placement.nodes += count,
            None => placements.push(Placement { provider: provider.to_owned(), nodes: count }),
        }
    }
    Ok(placements)
}

/// The bytes that the session's allocator has taken from the system; `None` when it keeps no count.
pub(super) fn allocated_bytes(session: &Session) -> Option<u64> {
    let allocator = ::ort::memory::Allocator::new(session, session.allocator().memory_info().to_owned()).ok()?;
    let raw = allocator.ptr();
    let api = ::ort::api();
    let mut pairs: *mut OrtKeyValuePairs = ptr::null_mut();
    // SAFETY: the allocator is alive. The field is there from version 1.23 of the interface on, of which the binding asks
    // for a later one; the library may leave it empty.
    check(unsafe { ((*raw).GetStats?)(raw, &raw mut pairs) }).ok()?;
    if pairs.is_null() {
        return None;
    }
    // SAFETY: the pairs are alive until they are released below, and so is the text in them.
    let text = unsafe {
        let value = (api.GetKeyValue)(pairs, c"TotalAllocated".as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
    };
    // SAFETY: they are ours, and released once.
    unsafe { (api.ReleaseKeyValuePairs)(pairs) };
    text?.parse().ok()
}

fn check(status: ::ort::sys::OrtStatusPtr) -> Result<(), ::ort::Error> {
    // SAFETY: the status was returned by the library and is given away here.
    unsafe { ::ort::Error::result_from_status(status) }
}

/// # Safety
/// `first` is null or points to `count` elements that outlive the result.
unsafe fn elements<'a, T>(first: *const T, count: usize) -> &'a [T] {
    // SAFETY: as the caller promises.
    if first.is_null() { &[] } else { unsafe { slice::from_raw_parts(first, count) } }
}
