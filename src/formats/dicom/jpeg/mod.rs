//! JPEG of one component: baseline and extended sequential with 8 or 12 bits and lossless with 2 to 16 (ITU-T T.81),
//! and JPEG-LS (T.87).

mod bits;
mod huffman;
mod lossless;
pub(super) mod ls;
mod ls_bits;
mod ls_scan;
mod sequential;

use self::bits::Bits;
use self::huffman::Huffman;
use super::codecs::Wanted;

/// What the segments before the scan say.
#[derive(Debug)]
struct Header {
    process: Process,
    /// Bits of a sample.
    precision: u32,
    rows: usize,
    columns: usize,
    /// Coefficients in zigzag order.
    quantization: [Option<[u16; 64]>; 4],
    quantization_table: usize,
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Minimum coded units between restart markers; 0 for none.
    restart_interval: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Sequential,
    Lossless,
}

/// Start of the scan: tables and the parameters that lossless scans use.
#[derive(Debug, Clone, Copy)]
struct Scan {
    dc: usize,
    ac: usize,
    predictor: u8,
    point_transform: u32,
}

/// Decodes a frame of one component to samples, row by row.
pub(super) fn decode(data: &[u8], wanted: Wanted) -> Result<Vec<u16>, String> {
    let (header, scan, entropy_coded) = read_header(data)?;
    wanted.check("JPEG", header.rows, header.columns, 1)?;
    let bits = Bits::new(entropy_coded);
    match header.process {
        Process::Lossless => lossless::decode(&header, scan, bits),
        Process::Sequential => sequential::decode(&header, scan, bits),
    }
}

/// Columns, rows and bits of a picture of one component.
pub(in crate::formats) fn size(data: &[u8]) -> Result<(usize, usize, u32), String> {
    let (header, ..) = read_header(data)?;
    Ok((header.columns, header.rows, header.precision))
}

/// The samples of a picture of one component, row by row.
pub(in crate::formats) fn picture(data: &[u8]) -> Result<Vec<u16>, String> {
    let (columns, rows, _) = size(data)?;
    decode(data, Wanted { rows, columns, width: 2 })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("the JPEG frame ends in its header")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<usize, String> {
        let bytes = self.take(2)?;
        Ok(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    }

    /// The next marker; fill bytes before it are passed over.
    fn marker(&mut self) -> Result<u8, String> {
        if self.byte()? != 0xff {
            return Err("a JPEG marker is missing".to_owned());
        }
        loop {
            match self.byte()? {
                0xff => (),
                marker => return Ok(marker),
            }
        }
    }
}

/// Reads the segments up to the start of the scan and returns the bytes behind it.
fn read_header(data: &[u8]) -> Result<(Header, Scan, &[u8]), String> {
    let mut reader = Reader(data);
    if reader.marker()? != 0xd8 {
        return Err("the frame does not start as JPEG".to_owned());
    }
    let mut header = Header {
        process: Process::Sequential,
        precision: 0,
        rows: 0,
        columns: 0,
        quantization: [None; 4],
        quantization_table: 0,
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        restart_interval: 0,
    };
    loop {
        let marker = reader.marker()?;
        let len = reader.word()?.checked_sub(2).ok_or("a JPEG segment has no length")?;
        let mut segment = Reader(reader.take(len)?);
        match marker {
            0xc0 | 0xc1 => header.start_of_frame(&mut segment, Process::Sequential)?,
            0xc3 => header.start_of_frame(&mut segment, Process::Lossless)?,
            0xc4 => header.huffman_tables(&mut segment)?,
            0xc2 | 0xc5..=0xcf => return Err(format!("JPEG process SOF{} is not decoded", marker - 0xc0)),
            0xda => {
                let scan = header.start_of_scan(&mut segment)?;
                return Ok((header, scan, reader.0));
            }
            0xdb => header.quantization_tables(&mut segment)?,
            0xdd => header.restart_interval = segment.word()?,
            _ => (),
        }
    }
}

impl Header {
    fn start_of_frame(&mut self, segment: &mut Reader<'_>, process: Process) -> Result<(), String> {
        self.process = process;
        self.precision = segment.byte()?.into();
        self.rows = segment.word()?;
        self.columns = segment.word()?;
        let components = segment.byte()?;
        let component = segment.take(3)?;
        self.quantization_table = usize::from(component[2] & 3);
        let bits = match process {
            Process::Lossless => 2..=16,
            Process::Sequential => 8..=12,
        };
        if components != 1 || !bits.contains(&self.precision) {
            return Err(format!("JPEG with {components} components of {} bits is not decoded", self.precision));
        }
        Ok(())
    }

    fn huffman_tables(&mut self, segment: &mut Reader<'_>) -> Result<(), String> {
        while !segment.0.is_empty() {
            let class = segment.byte()?;
            let counts = segment.take(16)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let table = Huffman::new(counts, segment.take(total)?)?;
            let tables = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            tables[usize::from(class & 3)] = Some(table);
        }
        Ok(())
    }

    fn quantization_tables(&mut self, segment: &mut Reader<'_>) -> Result<(), String> {
        while !segment.0.is_empty() {
            let kind = segment.byte()?;
            let mut table = [0; 64];
            for value in &mut table {
                let wide = kind >> 4 != 0;
                *value = if wide { u16::try_from(segment.word()?).unwrap_or(u16::MAX) } else { segment.byte()?.into() };
            }
            self.quantization[usize::from(kind & 3)] = Some(table);
        }
        Ok(())
    }

    fn start_of_scan(&self, segment: &mut Reader<'_>) -> Result<Scan, String> {
        if segment.byte()? != 1 || self.precision == 0 {
            return Err("the JPEG scan has not one component".to_owned());
        }
        let component = segment.take(2)?;
        let rest = segment.take(3)?;
        Ok(Scan {
            dc: usize::from(component[1] >> 4 & 3),
            ac: usize::from(component[1] & 3),
            predictor: rest[0],
            point_transform: u32::from(rest[2] & 15),
        })
    }
}
