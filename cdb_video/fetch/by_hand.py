"""How to get data sets that need an account, a form or a browser."""

BY_HAND = {
    "imagenet_lt": (
        "ImageNet-LT is 185,846 images of ILSVRC 2012 (train and val) from "
        "https://image-net.org/download.php, which needs an account, and three lists, "
        "ImageNet_LT_{train,val,test}.txt, from the data link of "
        "https://github.com/zhmiao/OpenLongTailRecognition-OLTR."
    ),
    "places_lt": (
        "Places-LT is images of Places365-Standard from "
        "http://places2.csail.mit.edu/download.html and three lists, "
        "Places_LT_{train,val,test}.txt, from the data link of "
        "https://github.com/zhmiao/OpenLongTailRecognition-OLTR."
    ),
    "inaturalist": (
        "iNaturalist 2018 is train_val2018.tar.gz with train2018.json and "
        "val2018.json from https://github.com/visipedia/inat_comp/tree/master/2018."
    ),
    "egtea": (
        "EGTEA Gaze+ is the trimmed action clips (about 20 GB) and action_annotation.zip, both "
        "linked from https://cbs.ic.gatech.edu/fpv/."
    ),
}
