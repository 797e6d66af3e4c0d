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
pub const MAX_BYTES: usize = 64 << 20;

/// Why an ONNX file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Too large.
    #[error("ONNX file has more than {MAX_BYTES} bytes (64 MiB); export a smaller model")]
    Large,
    /// No protobuf of a model.
    #[error("not an ONNX file, or only a part of one: {0}")]
    Decode(#[from] prost::DecodeError),
    /// No graph in it.
    #[error("not an ONNX file: there is no graph in it")]
    NoGraph,
    /// An operator that is not allowed.
    #[error("operator {op} (node {node:?}) is not run here; export that part as these: {}", OPERATORS.join(", "))]
    Operator {
        /// Its type, behind its domain if that is not ONNX's own.
        op: String,
        /// The node that uses it.
        node: String,
    },
    /// Weights outside of the file.
    #[error("tensor {0:?} lies in another file; save the model with its weights inside")]
    External(String),
    /// Other inputs than one.
    #[error("graph needs one input `{INPUT}`, int64 [n, length], n left open; it has {0}")]
    Input(String),
    /// Other outputs than one.
    #[error("graph needs one output, float [n] or [n, classes], n left open; it has {0}")]
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
        return Err(ImportError::Large);
    }
    let graph = ModelProto::decode(bytes)?.graph.ok_or(ImportError::NoGraph)?;
    for node in &graph.node {
        let plain = matches!(node.domain.as_str(), "" | "ai.onnx");
        if !plain || !OPERATORS.contains(&node.op_type.as_str()) {
            let domain = if plain { String::new() } else { format!("{}.", node.domain) };
            let op = format!("{domain}{}", node.op_type);
            return Err(ImportError::Operator { op, node: node.name.clone() });
        }
    }
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let constants = attributes.filter_map(|attribute| attribute.t.as_ref());
    for tensor in graph.initializer.iter().chain(constants) {
        if !tensor.external_data.is_empty() {
            return Err(ImportError::External(tensor.name.clone()));
        }
    }
    // Older exporters list initializers among the inputs.
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|input| !graph.initializer.iter().any(|t| t.name == input.name)).collect();
    let length = match inputs.as_slice() {
        [input] if input.name == INPUT => match axes(input, DataType::Int64).as_deref() {
            Some([None, Some(length)]) if (1..=2_048).contains(length) => *length as usize,
            _ => return Err(ImportError::Input(described(input))),
        },
        [input] => return Err(ImportError::Input(described(input))),
        other => return Err(ImportError::Input(format!("{} inputs", other.len()))),
    };
    let classes = match graph.output.as_slice() {
        [output] if !graph.node.iter().any(|node| node.output.contains(&output.name)) => {
            return Err(ImportError::Output(format!("{:?}, which no node gives", output.name)));
        }
        [output] => match axes(output, DataType::Float).as_deref() {
            Some([None]) => 1,
            Some([None, Some(classes)]) if (1..=64).contains(classes) => *classes as usize,
            _ => return Err(ImportError::Output(described(output))),
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

/// A tensor as a person reads it: `tokens`, float [n, 66].
fn described(value: &ValueInfoProto) -> String {
    let Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) = &value.r#type else {
        return format!("`{}`, no tensor", value.name);
    };
    let kind = DataType::try_from(tensor.elem_type).map_or("of unknown type", |kind| kind.as_str_name());
    let Some(shape) = &tensor.shape else {
        return format!("`{}`, {} of no stated shape", value.name, kind.to_lowercase());
    };
    let axis = |value: &Option<Value>| match value {
        Some(Value::DimValue(length)) => length.to_string(),
        Some(Value::DimParam(name)) if !name.is_empty() => name.clone(),
        _ => "?".to_owned(),
    };
    let axes: Vec<String> = shape.dim.iter().map(|dimension| axis(&dimension.value)).collect();
    format!("`{}`, {} [{}]", value.name, kind.to_lowercase(), axes.join(", "))
}
