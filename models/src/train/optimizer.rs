//! AdamW (Loshchilov and Hutter 2019): Adam with the decay of weights kept apart from the gradient.

use super::network::Params;
use super::real::Real;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

pub struct AdamW<R> {
    mean: Params<R>,
    square: Params<R>,
    decay: f64,
    steps: i32,
}

impl<R: Real> AdamW<R> {
    pub fn new(params: &Params<R>, decay: f64) -> Self {
        Self { mean: params.zeros(), square: params.zeros(), decay, steps: 0 }
    }

    pub fn step(&mut self, params: &mut Params<R>, gradient: Params<R>, rate: f64) {
        self.steps += 1;
        let correction1 = 1.0 - BETA1.powi(self.steps);
        let correction2 = 1.0 - BETA2.powi(self.steps);
        let scale = R::of(rate * correction2.sqrt() / correction1);
        let epsilon = R::of(EPSILON * correction2.sqrt());
        let keep = R::of(1.0 - rate * self.decay);
        let [b1, b2, a1, a2] = [BETA1, BETA2, 1.0 - BETA1, 1.0 - BETA2].map(R::of);
        let tensors = params.tensors_mut().into_iter().zip(gradient.tensors());
        let moments = self.mean.tensors_mut().into_iter().zip(self.square.tensors_mut());
        for ((weights, gradient), (mean, square)) in tensors.zip(moments) {
            let moments = mean.iter_mut().zip(square.iter_mut());
            for ((weight, &g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
                *m = *m * b1 + g * a1;
                *v = *v * b2 + g * g * a2;
                *weight = *weight * keep - scale * *m / (v.root() + epsilon);
            }
        }
    }
}
