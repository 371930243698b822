"""The networks of the course, one short file each."""

from course_utils.models.davidnet import DavidNet
from course_utils.models.inception import GoogLeNet
from course_utils.models.nin import NIN
from course_utils.models.resnet import ResNet
from course_utils.models.small import Small
from course_utils.models.speednet import SpeedNet
from course_utils.models.vgg import VGG
from course_utils.models.whitening import whitening_filters

__all__ = ["NIN", "VGG", "DavidNet", "GoogLeNet", "ResNet", "Small", "SpeedNet", "whitening_filters"]
