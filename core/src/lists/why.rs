//! What can be wrong with a line of a list, said so that its author can mend it.
//!
//! "Not supported" means that the line is good in its dialect and says something that a filtering forwarder
//! can't do; all else is a mistake in the line, or a line of another dialect.

use crate::name::NameError;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Bytes that are not UTF-8.
    #[error("not UTF-8; save the list as UTF-8")]
    NotUtf8,
    /// The text is a web page; every line of it is rejected.
    #[error("a web page, not a list; take the address of the list's raw file")]
    WebPage,
    /// The text is JSON; every line of it is rejected.
    #[error("JSON, not a list; take the list in one of the formats")]
    Json,
    /// A line, or a record of several lines, that is too long; carries its length.
    #[error("line of {0} bytes; a line has at most 65536")]
    LongLine(usize),

    /// The name breaks a rule of names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The root name.
    #[error("the root name would cover every name")]
    Root,
    /// More than one word on a line that holds one name.
    #[error("more than one word; this format has one name a line")]
    Words,
    /// An address where a name belongs.
    #[error("an address, not a name")]
    Address,
    /// A URL where a name belongs.
    #[error("a URL, not a name; keep only the host part")]
    Url,
    /// A `*` that is not the whole first label.
    #[error("a wildcard stands only at the start, as in *.example.com")]
    Wildcard,
    /// An ad blocker's rule.
    #[error("an ad blocker's rule; this format holds names only")]
    AdblockRule,
    /// A hosts line that does not start with an address.
    #[error("no address before the name; is this a plain list?")]
    NoAddress,
    /// A line that lacks its name.
    #[error("no name on the line")]
    NoName,

    /// A rule that covers nearly every name.
    #[error(
        "too wide: it covers nearly every name; name more of it, or narrow it with $client, $dnstype or $denyallow"
    )]
    TooWide,
    /// A rule that no name can match.
    #[error("it can match no name: {0}")]
    NeverMatches(&'static str),
    /// A cosmetic rule.
    #[error("not supported: a cosmetic rule acts inside a web page, and DNS sees only names")]
    Cosmetic,
    /// A modifier for browsers.
    #[error("not supported: ${0} is for browsers; by AdGuard's rules the whole line is ignored")]
    BrowserModifier(String),
    /// A modifier that nobody documents for DNS.
    #[error("unknown modifier ${0}; by AdGuard's rules the whole line is ignored")]
    UnknownModifier(String),
    /// `$ctag`.
    #[error("not supported: $ctag; clients have no tags here, name them with $client")]
    ClientTags,
    /// `$respgeo`.
    #[error("not supported: $respgeo; where an address lies is not known here")]
    ResponseGeo,
    /// A modifier without the value that it needs.
    #[error("${0} needs a value")]
    NoValue(&'static str),
    /// A modifier with a value that it does not take.
    #[error("${modifier} does not take {value:?}; expected {expected}")]
    ModifierValue {
        /// The modifier.
        modifier: &'static str,
        /// What stood there.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// An exception that takes back rewrites only.
    #[error(
        "not supported: an exception for rewrites alone; write the rewrite's own line with $badfilter instead"
    )]
    RewriteException,
    /// An RCODE that is never answered.
    #[error("not supported: answering {0}; NOERROR, NXDOMAIN and REFUSED are")]
    Rcode(String),

    /// A regular expression that is none.
    #[error("bad regular expression: {0}")]
    Regex(String),
    /// A look-around.
    #[error("not supported: look-around in a regular expression; it would not run in linear time")]
    LookAround,
    /// A back-reference.
    #[error("not supported: back-references in a regular expression; they would not run in linear time")]
    BackReference,
    /// A set operation in a character class.
    #[error(
        "a class in a class, or one of && -- ~~ in a class, is read differently by each engine; escape the character"
    )]
    ClassSet,
    /// A pattern that would become too large.
    #[error("regular expression too large; simplify it, or split it over several lines")]
    LargeRegex,
    /// Letters that no name has.
    #[error("not ASCII; a pattern sees international names in their xn-- form")]
    NotAscii,
    /// `;invert`.
    #[error("not supported: ;invert; write what it should match instead")]
    Invert,
    /// `;reply=ip`.
    #[error("not supported: ;reply=ip, the resolver's own address; write the address")]
    ReplyIp,
    /// An extension of a regular expression that is not known, or has a wrong value.
    #[error("unknown extension {0:?}; known: ;querytype=TYPES ;reply=nodata|nxdomain|refused|none|ADDRESS")]
    Extension(String),

    /// A dnsmasq option that is no rule.
    #[error("not supported: {0}; only address=, server= and local= lines are rules")]
    Option(String),
    /// A dnsmasq rule without `/NAME/`.
    #[error("expected /NAME/ and what to answer behind the =")]
    Slashes,
    /// What dnsmasq should answer is neither an address nor `#`.
    #[error("{0:?} is neither an address nor #")]
    Target(String),
    /// A dnsmasq line that sends names to a server.
    #[error(
        "not supported: a server of its own for a name; to only except the name from other lines, write server=/NAME/#"
    )]
    Forward,

    /// An Unbound option that is no rule.
    #[error("not supported: {0}; only local-zone, local-data and local-data-ptr in server: are rules")]
    Keyword(String),
    /// An Unbound zone type that does nothing to an answer.
    #[error("not supported: local-zone type {zone_type}; {reason}")]
    ZoneType {
        /// The type.
        zone_type: String,
        /// Why it is not.
        reason: &'static str,
    },
    /// Local data that Unbound would not answer.
    #[error("its local-zone's type answers without local data; leave the line out or change the type")]
    DataIgnored,
    /// Local data below a redirect zone.
    #[error("a redirect zone has data at its own name only")]
    DataBelowRedirect,
    /// A second `local-zone` for a name, of another type.
    #[error(
        "a second local-zone of another type for the name; the first one holds, where Unbound takes the last"
    )]
    SecondZone,

    /// A record type that is not known.
    #[error("unknown record type {0:?}; write TYPEnnn and its data as \\# LENGTH HEX (RFC 3597)")]
    RecordType(String),
    /// Data that does not fit its record type.
    #[error("bad {rtype} data; expected {expected}")]
    Data {
        /// The type.
        rtype: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A record that lacks its type or data.
    #[error("no record; expected NAME TYPE DATA")]
    NoRecord,
    /// A class other than IN.
    #[error("class {0}; only IN is served")]
    Class(String),
    /// A CNAME beside other data of the same trigger.
    #[error("a CNAME stands alone; the earlier records of this name hold")]
    CnameAlone,
    /// More records of one answer than are kept.
    #[error("an answer has at most 64 records")]
    ManyRecords,
    /// A record type that a policy can't answer.
    #[error("not supported: {0} as local data; it makes a zone of the name")]
    NotLocalData(&'static str),
    /// An open parenthesis or quote.
    #[error("unclosed {0}")]
    Unclosed(&'static str),
    /// A `$` line.
    #[error("not supported: {0}")]
    Directive(String),
    /// An absolute owner in a zone whose name is not known.
    #[error("absolute name, and the zone's own name is not known; add $ORIGIN at the top")]
    NoOrigin,
    /// An owner outside the zone.
    #[error("outside the zone {0}; a missing or extra dot at the end?")]
    OutOfZone(String),
    /// A policy record at the zone's own name.
    #[error("a policy at the zone's own name has no trigger")]
    Apex,
    /// A trigger on name servers.
    #[error("not supported: a forwarder can't see name servers")]
    NameServers,
    /// A trigger that RPZ keeps for itself.
    #[error("unknown trigger .{0}")]
    UnknownTrigger(String),
    /// An address trigger that is none.
    #[error("bad address trigger; expected {0}")]
    AddressTrigger(&'static str),
    /// A CNAME target that RPZ keeps for itself.
    #[error("unknown action {0}; known: . *. rpz-passthru. rpz-drop. rpz-tcp-only.")]
    UnknownAction(String),
    /// An action without its dot.
    #[error("an action ends in a dot: {0}.")]
    ActionDot(String),
    /// A CNAME to a wildcard.
    #[error("not supported: a CNAME to a wildcard, which would put the asked name before it")]
    WildcardTarget,
}
