//! Errors as RFC 9457 problem details: what, why, and the way out.

use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dnsvet_models::registry::RegistryError;
use serde_json::json;

use crate::control::ControlError;
use crate::control::models::PromoteError;
use crate::control::rdap::RdapError;
use crate::control::subscription::SubscriptionError;
use crate::control::vetting::Refused;
use crate::store::StoreError;
use crate::store::control::vetting::VettingError;

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem with its status and what to do about it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after_s: None }
    }

    /// The client sent something that can't be right.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Nobody is logged in.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "log in, or send a token as `authorization: Bearer TOKEN`")
    }

    /// A body that is not what it should be.
    pub fn body(rejected: &JsonRejection) -> Self {
        match rejected.status() {
            status @ (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
                Self::new(status, rejected.body_text())
            }
            _ => Self::bad_request(rejected.body_text()),
        }
    }

    /// Not for this role.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Says when to try again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::SpoolFull => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(1)
            }
            StoreError::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(2)
            }
            StoreError::Remote(ref why) if why.is_away() => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(5)
            }
            StoreError::DecisionsFull { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            StoreError::Promotion(why) => Self::new(StatusCode::CONFLICT, why.to_string()),
            StoreError::Vetting(why) => {
                let status = match why {
                    VettingError::NotProposed(_) | VettingError::NotAsked(_) => StatusCode::NOT_FOUND,
                    VettingError::Own(_) | VettingError::Otherwise { .. } => StatusCode::CONFLICT,
                    VettingError::ProposalsFull { .. } | VettingError::RequestsFull { .. } => {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                };
                Self::new(status, why.to_string())
            }
            error => {
                tracing::error!(%error, "the store failed a request");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Name { .. } | ControlError::Relief(_) => Self::bad_request(error.to_string()),
            ControlError::Vetting(Refused::Alone) => Self::forbidden(error.to_string()),
            ControlError::Vetting(_) => Self::bad_request(error.to_string()),
            ControlError::Subscription(SubscriptionError::Unknown(..)) => Self::not_found(error.to_string()),
            ControlError::Store(error) => error.into(),
            ControlError::Promote(error) => error.into(),
            error => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        }
    }
}

impl From<RdapError> for Problem {
    fn from(error: RdapError) -> Self {
        let status = match error {
            RdapError::Off => StatusCode::NOT_IMPLEMENTED,
            RdapError::Base(_) => StatusCode::INTERNAL_SERVER_ERROR,
            RdapError::NotRegistrable(_) => StatusCode::BAD_REQUEST,
            RdapError::NoRecord(_) => StatusCode::NOT_FOUND,
            RdapError::TooMany(seconds) => {
                return Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry_after(seconds);
            }
            RdapError::Fetch { .. } | RdapError::NotRdap { .. } => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PromoteError> for Problem {
    fn from(error: PromoteError) -> Self {
        let status = match error {
            PromoteError::Store(error) => return error.into(),
            PromoteError::Registry(RegistryError::Unknown { .. }) => StatusCode::NOT_FOUND,
            PromoteError::NoChallenger => StatusCode::CONFLICT,
            PromoteError::NoSnapshot => StatusCode::SERVICE_UNAVAILABLE,
            PromoteError::Against { .. } => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("error");
        let body = json!({"title": title, "status": self.status.as_u16(), "detail": self.detail});
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"dnsvet\""));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
