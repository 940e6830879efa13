"""Packaging: the version bounds between which MMagic 1.2 imports and trains.

Exact pins that were tested together stand in requirements/constraints.txt.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r"__version__ = '(.+)'", (HERE / 'mmagic_inik' / '__init__.py').read_text('utf-8')
)[1]

# A bound without a remark keeps the tested minor version.
# Restoring, and the networks as such.
INSTALL_REQUIRES = [
    'torch>=2.6,<2.12',  # 2.6: torch.load is weights_only by default
    'numpy>=1.24,<3',
    'opencv-python-headless>=4.8,<5',
    'pillow>=11.3',  # reads and writes AVIF
    'tifffile>=2023.2.2',
    'av>=10',  # FFmpeg: tells damaged JPEGs
    'lazy-loader>=0.6',
    'natsort>=8',
    'psutil>=5.9',  # tells free memory
    'tqdm>=4.60',
]

# Training, testing, measuring: MMagic and what it imports.
MMAGIC_REQUIRES = [
    'torchvision>=0.21,<0.27',
    'mmengine>=0.10.5,<0.11',
    'mmcv>=2.0,<2.2',  # MMagic asserts < 2.2
    'mmagic>=1.2,<1.3',
    'lpips>=0.1.4,<0.2',
    'numpy>=1.24,<2',  # mmcv 2.1 is built against NumPy 1
    'opencv-python>=4.8,<4.12',  # 4.12 needs NumPy 2
    'opencv-python-headless<4.12',
    'opencv-contrib-python<4.12',
    'scikit-image>=0.22,<0.26',
    'scipy>=1.10',
    'matplotlib>=3.7',
    # Imported by mmagic, with bounds that mmagic itself does not declare.
    'diffusers>=0.24,<0.25',  # models.unet_2d_condition left in 0.25
    'transformers>=4.36,<4.37',
    'huggingface_hub>=0.25,<0.26',  # cached_download left in 0.26
    'mediapipe>=0.10,<0.10.22',  # solutions left in later releases
    'tensorboard>=2.10,<2.20',  # mediapipe holds protobuf below 5
    'albumentations>=1.3,<1.4',
    'controlnet_aux>=0.0.7,<0.0.11',
    'imageio>=2.28',
    'setuptools<81',  # mmengine imports pkg_resources
]

# The page in the browser. Leaflet is taken from within NiceGUI: a minor version.
APP = ['nicegui>=3.18,<3.19']

# HEIC, JPEG XL and camera raw.
FORMATS = ['pillow-heif>=1.0', 'pillow-jxl-plugin>=1.3', 'rawpy>=0.24']

# Models for others to run, and what runs them here.
EXPORT = ['onnx>=1.17,<2', 'onnxruntime>=1.20,<2', 'safetensors>=0.4']
OPENVINO = ['openvino>=2025.0']

setup(
    name='mmagic_inik',
    version=VERSION,
    description='INIKNet: single-image defocus deblurring for MMagic',
    long_description=(HERE / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10,<3.13',
    # Where it is tested. Memory that macOS and Windows do not tell is guessed.
    classifiers=[
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
    ],
    packages=find_packages(include=['mmagic_inik', 'mmagic_inik.*']),
    # In `.mim`, where MMagic's mim looks, are links to configs and tools.
    package_data={
        'mmagic_inik': [
            'weights/*',
            'app/*.css',
            'app/*.js',
            '.mim/*.yml',
            '.mim/**/*.*',
        ]
    },
    entry_points={'console_scripts': ['mmagic-inik = mmagic_inik.command:main']},
    install_requires=INSTALL_REQUIRES,
    extras_require={
        'mmagic': MMAGIC_REQUIRES,
        'demo': ['scikit-learn>=1.3'],
        'formats': FORMATS,
        'app': APP,
        'export': EXPORT,
        'openvino': [*EXPORT, *OPENVINO],
        'tests': [
            *('pytest>=8', 'pytest-xdist>=3', 'scikit-learn>=1.3', 'sybil>=9'),
            'model-index>=0.1.11',  # what mim reads model-index.yml by
            'playwright>=1.50',  # drives the system's Chromium, and downloads none
            *(*FORMATS, *APP, *EXPORT, *OPENVINO),
        ],
        'lint': ['ruff', 'codespell', 'mypy>=2.4', 'pre-commit'],
        'docs': ['sphinx>=8', 'myst-parser>=4', 'furo'],
        'release': ['build>=1.2'],
    },
)
