//! Transfer syntaxes: how a data set and its samples are written (PS3.6, table A-1).

use super::encoding::Encoding;

/// How samples are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Native,
    DeflatedFrames,
    RunLength,
    Jpeg,
    JpegLs,
    Jpeg2000,
    /// Known by name, not decoded.
    Unsupported,
}

/// A transfer syntax and whether its samples are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferSyntax {
    /// Unique identifier.
    pub uid: &'static str,
    /// Name as in the standard, shortened.
    pub name: &'static str,
    codec: Codec,
}

impl TransferSyntax {
    /// False when files of it are recognized but their samples cannot be decoded.
    #[must_use]
    pub fn is_decoded(&self) -> bool {
        self.codec != Codec::Unsupported
    }

    pub(super) fn codec(self) -> Codec {
        self.codec
    }

    pub(super) fn is_deflated(self) -> bool {
        self.uid == DEFLATED
    }

    /// How the data set is declared to be written.
    pub(super) fn encoding(self) -> Encoding {
        match self.uid {
            IMPLICIT => Encoding::IMPLICIT,
            BIG_ENDIAN => Encoding::BIG_ENDIAN,
            _ => Encoding::EXPLICIT,
        }
    }

    /// The native one for a data set without file meta information.
    pub(super) fn native(encoding: Encoding) -> Self {
        let uid = match encoding {
            Encoding::IMPLICIT => IMPLICIT,
            Encoding::BIG_ENDIAN => BIG_ENDIAN,
            _ => EXPLICIT,
        };
        find(uid).unwrap_or(TRANSFER_SYNTAXES[0])
    }
}

const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

const fn syntax(uid: &'static str, name: &'static str, codec: Codec) -> TransferSyntax {
    TransferSyntax { uid, name, codec }
}

/// All transfer syntaxes that are known by name.
pub const TRANSFER_SYNTAXES: &[TransferSyntax] = &[
    syntax(IMPLICIT, "Implicit VR Little Endian", Codec::Native),
    syntax(EXPLICIT, "Explicit VR Little Endian", Codec::Native),
    syntax(DEFLATED, "Deflated Explicit VR Little Endian", Codec::Native),
    syntax(BIG_ENDIAN, "Explicit VR Big Endian", Codec::Native),
    syntax("1.2.840.10008.1.2.5", "RLE Lossless", Codec::RunLength),
    syntax("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", Codec::DeflatedFrames),
    syntax("1.2.840.10008.1.2.4.50", "JPEG Baseline", Codec::Jpeg),
    syntax("1.2.840.10008.1.2.4.51", "JPEG Extended", Codec::Jpeg),
    syntax("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection (retired)", Codec::Unsupported),
    syntax("1.2.840.10008.1.2.4.55", "JPEG Full Progression (retired)", Codec::Unsupported),
    syntax("1.2.840.10008.1.2.4.57", "JPEG Lossless", Codec::Jpeg),
    syntax("1.2.840.10008.1.2.4.70", "JPEG Lossless, First-Order Prediction", Codec::Jpeg),
    syntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", Codec::JpegLs),
    syntax("1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", Codec::JpegLs),
    syntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", Codec::Jpeg2000),
    syntax("1.2.840.10008.1.2.4.91", "JPEG 2000", Codec::Jpeg2000),
    syntax("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", Codec::Unsupported),
    syntax("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", Codec::Unsupported),
    syntax("1.2.840.10008.1.2.4.112", "JPEG XL", Codec::Unsupported),
    syntax("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless", Codec::Jpeg2000),
    syntax("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 Lossless (RPCL)", Codec::Jpeg2000),
    syntax("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", Codec::Jpeg2000),
];

/// The transfer syntax with this identifier.
pub(super) fn find(uid: &str) -> Option<TransferSyntax> {
    TRANSFER_SYNTAXES.iter().find(|syntax| syntax.uid == uid).copied()
}
