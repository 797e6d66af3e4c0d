//! Faults: the scorer or the control plane is away, slow, or talks nonsense. Service goes on, and is counted.

mod control;
mod refused;
mod scorer;
mod swap;
