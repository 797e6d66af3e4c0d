//! What an ONNX file must be before it runs: known operators, our input, one output.

use prost::Message;
use tract_onnx::pb::{ModelProto, TypeProto, ValueInfoProto};
use tract_onnx::pb::{tensor_proto::DataType, tensor_shape_proto::dimension::Value, type_proto};

use super::INPUT;

/// Operators that an imported graph may use: pure functions of tensors, all run by tract.
const OPERATORS: [&str; 45] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "Div",
    "Dropout",
    "Equal",
    "Erf",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "MatMul",
    "Max",
    "MaxPool",
    "Mul",
    "Pad",
    "Pow",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
];
/// The largest file, bytes.
const MAX_BYTES: usize = 64 << 20;

/// Why an ONNX file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Too large.
    #[error("ONNX file has {0} bytes; at most 64 MiB are taken")]
    Large(usize),
    /// No protobuf of a model.
    #[error("not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// No graph in it.
    #[error("ONNX file has no graph")]
    NoGraph,
    /// An operator that is not allowed.
    #[error("operator {op} (node {node:?}) is not among those that are run here")]
    Operator {
        /// Its type.
        op: String,
        /// The node that uses it.
        node: String,
    },
    /// Weights outside of the file.
    #[error("tensor {0:?} lies in another file; save the model with its weights inside")]
    External(String),
    /// Other inputs than one.
    #[error("graph needs one input `tokens`, int64 [n, length]; it has {0}")]
    Input(String),
    /// Other outputs than one.
    #[error("graph needs one output, float [n] or [n, classes]; it has {0}")]
    Output(String),
}

/// What a graph takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Tokens a name.
    pub length: usize,
    /// 1 for `[n]`, else the second axis.
    pub classes: usize,
}

/// Checks operators, input and output of an ONNX file.
pub fn check(bytes: &[u8]) -> Result<Shape, ImportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ImportError::Large(bytes.len()));
    }
    let graph = ModelProto::decode(bytes)?.graph.ok_or(ImportError::NoGraph)?;
    for node in &graph.node {
        let op = node.op_type.as_str();
        if !OPERATORS.contains(&op) {
            return Err(ImportError::Operator { op: op.to_owned(), node: node.name.clone() });
        }
    }
    for tensor in &graph.initializer {
        if !tensor.external_data.is_empty() {
            return Err(ImportError::External(tensor.name.clone()));
        }
    }
    // Older exporters list initializers among the inputs.
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|input| !graph.initializer.iter().any(|t| t.name == input.name)).collect();
    let length = match inputs.as_slice() {
        [input] if input.name == INPUT => match axes(input, DataType::Int64).as_deref() {
            Some([_, Some(length)]) if (1..=2_048).contains(length) => *length as usize,
            _ => return Err(ImportError::Input(format!("{INPUT} of another type or shape"))),
        },
        [input] => return Err(ImportError::Input(format!("{:?}", input.name))),
        other => return Err(ImportError::Input(format!("{} inputs", other.len()))),
    };
    let classes = match graph.output.as_slice() {
        [output] => match axes(output, DataType::Float).as_deref() {
            Some([_]) => 1,
            Some([_, Some(classes)]) if (1..=64).contains(classes) => *classes as usize,
            _ => return Err(ImportError::Output(format!("{:?} of another type or shape", output.name))),
        },
        other => return Err(ImportError::Output(format!("{} outputs", other.len()))),
    };
    Ok(Shape { length, classes })
}

/// The axes of a tensor of the wanted type; `None` for one that is not fixed.
fn axes(value: &ValueInfoProto, kind: DataType) -> Option<Vec<Option<i64>>> {
    let Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) = &value.r#type else {
        return None;
    };
    let shape = tensor.shape.as_ref().filter(|_| tensor.elem_type == kind as i32)?;
    let axis = |value: &Option<Value>| match value {
        Some(Value::DimValue(length)) => Some(*length),
        _ => None,
    };
    Some(shape.dim.iter().map(|dimension| axis(&dimension.value)).collect())
}
