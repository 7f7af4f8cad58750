"""The hippocampus model: a 3-D U-Net with unpadded convolutions, trained on two thirds of the Decathlon's Task04."""
