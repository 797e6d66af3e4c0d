//! What RFCs and DESIGN ask of an answer, at every door.

mod malformed;
mod smuggling;
