"""The layers that ship, one definition file each.  Add a file and a line here."""

from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.batch_norm_images import BATCH_NORM_1D, BATCH_NORM_2D, BATCH_NORM_3D
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE
from derive.layers.block import BLOCKS
from derive.layers.group_norm import GROUP_NORM
from derive.layers.instance_norm import INSTANCE_NORM
from derive.layers.l2_normalise import L2_NORMALISE
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.log_softmax import LOG_SOFTMAX
from derive.layers.rms_norm import RMS_NORM
from derive.layers.softmax import SOFTMAX
from derive.layers.softmax_cross_entropy import SOFTMAX_CROSS_ENTROPY
from derive.layers.weight_standardisation import WEIGHT_STANDARDISATION

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        BATCH_NORM,
        BATCH_NORM_1D,
        BATCH_NORM_2D,
        BATCH_NORM_3D,
        BATCH_NORM_INFERENCE,
        *BLOCKS,
        LAYER_NORM,
        RMS_NORM,
        GROUP_NORM,
        INSTANCE_NORM,
        L2_NORMALISE,
        WEIGHT_STANDARDISATION,
        SOFTMAX,
        LOG_SOFTMAX,
        SOFTMAX_CROSS_ENTROPY,
    )
}
