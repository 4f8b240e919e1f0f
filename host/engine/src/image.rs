//! Pictures as clients send them: encoded bytes in, bounded RGB out. A picture is a stranger's file, so its
//! size is known from its header before memory is taken for it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io::Cursor,
    sync::{Arc, LazyLock},
};

mod jpeg;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

/// The longest side that is taken. JPEG has none longer; a longer one has hardly any other side.
const SIDE_MAX: u32 = 1 << 16;
/// What a decoder may use besides the picture itself.
const SCRATCH_BYTES: u64 = 64 << 20;
/// The widest pixel any of the formats decodes to: four channels of 16 bits.
const PIXEL_BYTES_MAX: u64 = 8;

/// A decoded picture. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgb: Arc<[u8]>,
}

/// What one picture may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Bytes as sent.
    pub bytes_max: usize,
    /// Width times height.
    pub pixels_max: u64,
}

/// A picture that is not taken.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ImageError {
    /// Neither PNG nor JPEG nor WebP.
    #[error("the image is neither PNG nor JPEG nor WebP; convert it to one of them")]
    Unknown,
    /// Too many bytes.
    #[error("the image has {bytes} bytes and {max} are taken; send a smaller one")]
    Heavy {
        /// Bytes sent.
        bytes: usize,
        /// Bytes taken.
        max: usize,
    },
    /// Too many pixels.
    #[error("the image is {width}x{height} and {max} pixels are taken; send a smaller one")]
    Large {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Pixels taken.
        max: u64,
    },
    /// Too long, be it ever so narrow.
    #[error("the image is {width}x{height} and sides up to {max} are taken; send a smaller one")]
    Long {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Pixels taken of either.
        max: u32,
    },
    /// Starts like an image and does not go on like one.
    #[error("the image can't be decoded: {0}; send it again, or save it anew")]
    Broken(String),
}

impl Image {
    /// Tells pictures apart while this process lives.
    pub(crate) fn fingerprint(&self) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.hash_one((self.width, self.height, &self.rgb))
    }

    /// Decodes a PNG, JPEG or WebP file. Rotation stored beside the pixels is carried out, as in
    /// transformers' `load_image`, and what is transparent lies on white, as in its `convert_to_rgb`.
    ///
    /// # Errors
    /// When it is none of these, breaks off, or is larger than `limits`.
    pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Self, ImageError> {
        if bytes.len() > limits.bytes_max {
            return Err(ImageError::Heavy { bytes: bytes.len(), max: limits.bytes_max });
        }
        let format = image::guess_format(bytes).map_err(|_| ImageError::Unknown)?;
        if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) {
            return Err(ImageError::Unknown);
        }
        if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
            return Err(ImageError::Broken("it breaks off before its end".to_owned()));
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut most = Limits::no_limits();
        most.max_alloc = Some(limits.pixels_max * PIXEL_BYTES_MAX + SCRATCH_BYTES);
        reader.limits(most);
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > limits.pixels_max {
            return Err(ImageError::Large { width, height, max: limits.pixels_max });
        }
        if width.max(height) > SIDE_MAX {
            return Err(ImageError::Long { width, height, max: SIDE_MAX });
        }
        let orientation = decoder.orientation().map_err(broken)?;
        let mut decoded = DynamicImage::from_decoder(decoder).map_err(broken)?;
        decoded.apply_orientation(orientation);
        let rgb =
            if decoded.color().has_alpha() { on_white(&decoded) } else { decoded.into_rgb8() };
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        Ok(Self { width, height, rgb: rgb.into_raw().into() })
    }

    /// A picture of raw pixels `(height, width, 3)`.
    #[cfg(test)]
    pub(crate) fn raw(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width * height * 3);
        Self { width, height, rgb: rgb.into() }
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row by row from the top: `(height, width, 3)`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// Pillow's `alpha_composite` over an opaque white ground, to the last rounding.
fn on_white(picture: &DynamicImage) -> RgbImage {
    let over_white = |level: u8, alpha: u8| {
        let (level, alpha) = (u32::from(level), u32::from(alpha));
        let mixed = (level * alpha + 255 * (255 - alpha) + 128) << 7;
        ((mixed + (mixed >> 8)) >> 15) as u8
    };
    let picture = picture.to_rgba8();
    let pixel = |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0;
        Rgb([red, green, blue].map(|level| over_white(level, alpha)))
    };
    RgbImage::from_fn(picture.width(), picture.height(), pixel)
}

fn broken(error: image::ImageError) -> ImageError {
    ImageError::Broken(error.to_string())
}

/// The size, not the pixels.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    const LIMITS: ImageLimits = ImageLimits { bytes_max: 10_000, pixels_max: 64 };

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let pixel = |x: u32, y: u32| Rgba([x as u8, y as u8, 7, 255]);
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::from(RgbaImage::from_fn(width, height, pixel));
        let picture = match format {
            ImageFormat::Jpeg => picture.into_rgb8().into(),
            _ => picture,
        };
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn rows_come_from_the_top() {
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let image = Image::decode(&encoded(3, 2, format), &LIMITS).unwrap();
            assert_eq!((image.width(), image.height()), (3, 2));
            assert_eq!(&image.rgb()[..9], [0, 0, 7, 1, 0, 7, 2, 0, 7]);
            assert_eq!(&image.rgb()[9..12], [0, 1, 7]);
        }
        assert_eq!(Image::decode(&encoded(8, 8, ImageFormat::Jpeg), &LIMITS).unwrap().width(), 8);
    }

    /// Levels, transparencies, and what Pillow 13 makes of them on white.
    #[test]
    fn what_is_transparent_lies_on_white() {
        let pixels = [
            (0, 0, 255),
            (7, 1, 254),
            (200, 128, 227),
            (13, 77, 182),
            (90, 254, 91),
            (31, 255, 31),
        ];
        for (level, alpha, expect) in pixels {
            let picture = RgbaImage::from_pixel(1, 1, Rgba([level, 0, 255, alpha]));
            assert_eq!(on_white(&picture.into()).into_raw()[0], expect, "{level} at {alpha}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_size() {
        let large = Image::decode(&encoded(9, 8, ImageFormat::Png), &LIMITS).unwrap_err();
        assert_eq!(large, ImageError::Large { width: 9, height: 8, max: 64 });
        let roomy = ImageLimits { bytes_max: 1 << 20, pixels_max: 1 << 20 };
        let long = Image::decode(&encoded(65_537, 1, ImageFormat::Png), &roomy).unwrap_err();
        assert_eq!(long, ImageError::Long { width: 65_537, height: 1, max: 65_536 });
        let heavy = Image::decode(&[0; 10_001], &LIMITS).unwrap_err();
        assert_eq!(heavy, ImageError::Heavy { bytes: 10_001, max: 10_000 });
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert_eq!(Image::decode(b"hello", &LIMITS), Err(ImageError::Unknown));
        assert_eq!(Image::decode(b"GIF89a\x01\0\x01\0", &LIMITS), Err(ImageError::Unknown));
    }

    #[test]
    fn what_breaks_off_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let whole = encoded(8, 8, format);
            assert!(Image::decode(&whole, &LIMITS).is_ok());
            for end in [20, whole.len() / 2, whole.len() - 20] {
                let broken = Image::decode(&whole[..end], &LIMITS);
                assert!(matches!(broken, Err(ImageError::Broken(_))), "{format:?} to {end}");
            }
        }
        let jpeg = encoded(8, 8, ImageFormat::Jpeg);
        assert!(Image::decode(&jpeg[..jpeg.len() - 2], &LIMITS).is_err());
        let trailed = [jpeg.as_slice(), b"trailing words"].concat();
        assert!(Image::decode(&trailed, &LIMITS).is_ok());
        let preview = [&jpeg[..2], &[0xFF, 0xE1, 0, 4, 0xFF, 0xD9], &jpeg[2..200]].concat();
        assert!(Image::decode(&preview, &LIMITS).is_err(), "an end within a segment is none");
    }
}
