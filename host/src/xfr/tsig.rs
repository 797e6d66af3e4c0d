//! Signatures of messages by a shared key (TSIG, RFC 8945).
//!
//! A [`Chain`] signs or checks the messages of one exchange: each MAC covers the one before it. Its surprise:
//! in a transfer up to 99 messages in a row may come unsigned (section 5.3.1); they count once the next
//! signature that covers them is checked.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use dnsvet_core::name::{Name, NameError};
use ring::hmac;

use super::message::{Message, append, class, types};

/// How far two clocks may be apart, seconds (RFC 8945 section 10).
pub(super) const FUDGE_S: u16 = 300;
/// Messages in a row that may come unsigned (RFC 8945 section 5.3.1).
const MOST_UNSIGNED: u32 = 99;
/// The shortest secret that is taken, bytes: a guess at fewer bits has a chance.
const LEAST_SECRET_BYTES: usize = 16;

/// TSIG error codes (RFC 8945 section 3).
pub(super) mod code {
    pub const BADSIG: u16 = 16;
    pub const BADKEY: u16 = 17;
    pub const BADTIME: u16 = 18;
    pub const BADTRUNC: u16 = 22;
}

/// How a message is signed. MD5 and SHA-1 are not offered: RFC 8945 section 6 has them for old servers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`, what every server has.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// The word in configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    fn digest(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }

    /// Its name in wire form.
    fn wire(self) -> Vec<u8> {
        let name = self.as_str();
        [&[name.len() as u8], name.as_bytes(), &[0]].concat()
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(word: &str) -> Result<Self, KeyError> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(word));
        found.ok_or_else(|| KeyError::Algorithm(word.to_owned()))
    }
}

/// Why a text is no key. The secret is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not three parts.
    #[error("a key is ALGORITHM:NAME:SECRET, such as hmac-sha256:transfer.example:BASE64")]
    Form,
    /// An algorithm that is not known or too weak.
    #[error("algorithm {0:?} is unknown or too weak; use hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm(String),
    /// The name is none.
    #[error("key's name: {0}")]
    Name(#[from] NameError),
    /// The secret is not base64.
    #[error("key's secret is not base64; copy it whole, with the `=` at its end")]
    Base64,
    /// The secret is short.
    #[error("key's secret has {0} bytes; it needs at least 16, make one with `tsig-keygen`")]
    Short(usize),
}

/// A shared key. Cheap to clone; its secret is not shown.
#[derive(Clone)]
pub struct Key(Arc<KeyInner>);

struct KeyInner {
    name: Name,
    name_wire: Vec<u8>,
    algorithm: Algorithm,
    hmac: hmac::Key,
}

impl Key {
    /// A key of its parts.
    ///
    /// # Errors
    /// If the secret has less than 16 bytes.
    pub fn new(algorithm: Algorithm, name: Name, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < LEAST_SECRET_BYTES {
            return Err(KeyError::Short(secret.len()));
        }
        let hmac = hmac::Key::new(algorithm.digest(), secret);
        Ok(Self(Arc::new(KeyInner { name_wire: name.to_wire(), name, algorithm, hmac })))
    }

    /// Its name, which both sides must use.
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Whether a signature names this key.
    pub(super) fn is_named_by(&self, tsig: &Tsig) -> bool {
        tsig.key == self.0.name_wire && tsig.algorithm == self.0.algorithm.wire()
    }

    fn mac_bytes(&self) -> usize {
        self.0.algorithm.digest().digest_algorithm().output_len()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.0.algorithm.as_str(), self.0.name)
    }
}

/// `ALGORITHM:NAME:SECRET`, the secret in base64, as `dig -y` takes it.
impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().splitn(3, ':');
        let (Some(algorithm), Some(name), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let secret =
            base64::engine::general_purpose::STANDARD.decode(secret).map_err(|_| KeyError::Base64)?;
        Self::new(algorithm.parse()?, Name::parse(name)?, &secret)
    }
}

/// Why a message's signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TsigError {
    /// There is none where there must be one.
    #[error("message is not signed (TSIG); give the other side the same key, or somebody else answers")]
    Unsigned,
    /// More than 99 messages in a row without signature.
    #[error("more than 99 messages in a row are not signed; the other side's software is at fault")]
    TooManyUnsigned,
    /// Another key or algorithm than ours.
    #[error("message is signed by another key or algorithm; both sides need the same name and algorithm")]
    OtherKey,
    /// The MAC is wrong.
    #[error("signature is wrong; both sides need the same secret, or the message was changed on its way")]
    BadMac,
    /// The MAC is shorter than its algorithm makes it.
    #[error("signature is cut short, which is not accepted; let the other side send whole ones")]
    Truncated,
    /// Signed too far from our time.
    #[error("message was signed {seconds} s from our time; set both clocks (NTP)")]
    Time {
        /// How far, seconds.
        seconds: u64,
    },
    /// The other side did not accept our signature: BADSIG.
    #[error("the other side says that our signature is wrong (BADSIG); both sides need the same secret")]
    RefusedSignature,
    /// The other side does not know our key: BADKEY.
    #[error("the other side does not know our key (BADKEY); check the key's name and algorithm there")]
    RefusedKey,
    /// The other side's clock differs: BADTIME.
    #[error("the other side's clock is {seconds} s from ours (BADTIME); set both clocks (NTP)")]
    RefusedTime {
        /// How far, seconds.
        seconds: u64,
    },
    /// Another error code.
    #[error("the other side refused our signature with TSIG error {0}; look into its log")]
    RefusedOther(u16),
}

/// A TSIG record as it stands in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tsig {
    /// Where it starts in the message.
    pub at: usize,
    /// The key's name, wire form, lower case.
    pub key: Vec<u8>,
    /// The algorithm's name, wire form, lower case.
    pub algorithm: Vec<u8>,
    /// When it was signed, seconds since 1970; 48 bits.
    pub time_s: u64,
    pub fudge_s: u16,
    pub mac: Vec<u8>,
    pub original_id: u16,
    pub error: u16,
    pub other: Vec<u8>,
}

impl Tsig {
    /// What a response to this signature holds that can't be signed itself (RFC 8945 section 5.3.2).
    pub fn unsigned_error(&self, error: u16, id: u16) -> Vec<u8> {
        encode(&self.key, &self.algorithm, &Stamp { time_s: self.time_s, error, other: Vec::new() }, &[], id)
    }
}

/// When and with what error a message is signed.
#[derive(Debug, Clone, Default)]
pub(super) struct Stamp {
    /// Seconds since 1970.
    pub time_s: u64,
    pub error: u16,
    pub other: Vec<u8>,
}

/// Now, seconds since 1970.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// The MACs of one exchange, each covering the one before.
pub(super) struct Chain {
    key: Key,
    context: hmac::Context,
    /// The next signature is the first of its direction and covers all of its fields (section 5.3.1).
    first: bool,
    unsigned: u32,
}

impl Chain {
    /// For a request, which no MAC precedes.
    pub fn request(key: &Key) -> Self {
        Self { key: key.clone(), context: hmac::Context::with_key(&key.0.hmac), first: true, unsigned: 0 }
    }

    /// For the responses to a request with this MAC.
    pub fn response(key: &Key, request_mac: &[u8]) -> Self {
        let mut chain = Self::request(key);
        chain.start_with(request_mac);
        chain
    }

    fn start_with(&mut self, mac: &[u8]) {
        self.context = hmac::Context::with_key(&self.key.0.hmac);
        self.context.update(&(mac.len() as u16).to_be_bytes());
        self.context.update(mac);
        self.unsigned = 0;
    }

    /// Signs a message that has a whole header, and returns the MAC.
    pub fn sign(&mut self, message: &mut Vec<u8>, stamp: &Stamp) -> Vec<u8> {
        self.context.update(message);
        let variables = self.variables(stamp, FUDGE_S);
        self.context.update(&variables);
        let mac = self.context.clone().sign().as_ref().to_vec();
        let id = u16::from_be_bytes([message[0], message[1]]);
        let record = encode(&self.key.0.name_wire, &self.key.0.algorithm.wire(), stamp, &mac, id);
        append(message, &record);
        self.first = false;
        self.start_with(&mac);
        mac
    }

    /// Leaves a message unsigned, for the next signature to cover.
    #[cfg(test)]
    pub fn pass(&mut self, message: &[u8]) {
        self.context.update(message);
    }

    /// Checks the next message, in the order of RFC 8945 section 5.2: key, MAC, time, error. True if it is
    /// signed; false if the signature of a later one must cover it.
    ///
    /// # Errors
    /// If it must not be used.
    pub fn check(&mut self, wire: &[u8], message: &Message, now_s: u64) -> Result<bool, TsigError> {
        let Some(tsig) = &message.tsig else {
            if self.first {
                return Err(TsigError::Unsigned);
            }
            self.unsigned += 1;
            if self.unsigned > MOST_UNSIGNED {
                return Err(TsigError::TooManyUnsigned);
            }
            self.context.update(wire);
            return Ok(false);
        };
        // These two come unsigned: the other side could not compute a MAC that means something.
        match tsig.error {
            code::BADSIG => return Err(TsigError::RefusedSignature),
            code::BADKEY => return Err(TsigError::RefusedKey),
            _ => {}
        }
        if !self.key.is_named_by(tsig) {
            return Err(TsigError::OtherKey);
        }
        if tsig.mac.len() < self.key.mac_bytes() {
            return Err(TsigError::Truncated);
        }
        let stamp = Stamp { time_s: tsig.time_s, error: tsig.error, other: tsig.other.clone() };
        let mut head: [u8; 12] = *wire.first_chunk().ok_or(TsigError::BadMac)?;
        head[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
        let additional = u16::from_be_bytes([head[10], head[11]]).saturating_sub(1);
        head[10..].copy_from_slice(&additional.to_be_bytes());
        self.context.update(&head);
        self.context.update(wire.get(12..tsig.at).ok_or(TsigError::BadMac)?);
        let variables = self.variables(&stamp, tsig.fudge_s);
        self.context.update(&variables);
        if !same(self.context.clone().sign().as_ref(), &tsig.mac) {
            return Err(TsigError::BadMac);
        }
        if tsig.error == code::BADTIME {
            let theirs = tsig.other.iter().fold(0u64, |time, byte| time << 8 | u64::from(*byte));
            return Err(TsigError::RefusedTime { seconds: theirs.abs_diff(now_s) });
        }
        let seconds = tsig.time_s.abs_diff(now_s);
        if seconds > u64::from(tsig.fudge_s) {
            return Err(TsigError::Time { seconds });
        }
        if tsig.error != 0 {
            return Err(TsigError::RefusedOther(tsig.error));
        }
        self.first = false;
        self.start_with(&tsig.mac);
        Ok(true)
    }

    /// What a MAC covers beside the message: every field, or the time alone past the first (section 5.3.1).
    fn variables(&self, stamp: &Stamp, fudge_s: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        if self.first {
            out.extend_from_slice(&self.key.0.name_wire);
            out.extend_from_slice(&class::ANY.to_be_bytes());
            out.extend_from_slice(&0u32.to_be_bytes());
            out.extend_from_slice(&self.key.0.algorithm.wire());
        }
        out.extend_from_slice(&stamp.time_s.to_be_bytes()[2..]);
        out.extend_from_slice(&fudge_s.to_be_bytes());
        if self.first {
            out.extend_from_slice(&stamp.error.to_be_bytes());
            out.extend_from_slice(&(stamp.other.len() as u16).to_be_bytes());
            out.extend_from_slice(&stamp.other);
        }
        out
    }
}

/// The longest record that [`Chain::sign`] appends, bytes: two names, the largest MAC, a time.
pub(super) const MOST_TSIG_BYTES: usize = 255 + 10 + 13 + 16 + 64 + 6;

fn encode(key: &[u8], algorithm: &[u8], stamp: &Stamp, mac: &[u8], id: u16) -> Vec<u8> {
    let mut data = algorithm.to_vec();
    data.extend_from_slice(&stamp.time_s.to_be_bytes()[2..]);
    data.extend_from_slice(&FUDGE_S.to_be_bytes());
    data.extend_from_slice(&(mac.len() as u16).to_be_bytes());
    data.extend_from_slice(mac);
    data.extend_from_slice(&id.to_be_bytes());
    data.extend_from_slice(&stamp.error.to_be_bytes());
    data.extend_from_slice(&(stamp.other.len() as u16).to_be_bytes());
    data.extend_from_slice(&stamp.other);
    let mut out = key.to_vec();
    out.extend_from_slice(&types::TSIG.to_be_bytes());
    out.extend_from_slice(&class::ANY.to_be_bytes());
    out.extend_from_slice(&0u32.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(&data);
    out
}

/// Compares in a time that does not tell where the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |found, (a, b)| found | (a ^ b)) == 0
}
